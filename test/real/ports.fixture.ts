/** Ports for servers that are told theirs. */
import { type AddressInfo, connect, createServer } from 'node:net';

/** A port that nobody has just now, chosen by the system. */
export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  const { port } = server.address() as AddressInfo;
  await new Promise((done) => server.close(done));
  return port;
}

/** Whether somebody takes connections on a port. */
export function answers(port: number): Promise<boolean> {
  return new Promise((done) => {
    const socket = connect(port, '127.0.0.1', () => done(!socket.destroy().connecting));
    socket.on('error', () => done(false));
  });
}
