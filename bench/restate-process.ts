/** The rival of `restate.bench.ts`: targets as Restate's virtual objects, in a process of its own. Prints the port it listens on. */
import { createServer } from 'node:http2';
import type { AddressInfo } from 'node:net';
import { createEndpointHandler, type ObjectContext, object } from '@restatedev/restate-sdk';

type Message = { type: 'begin' } | { type: 'result'; visit: number; outcome: string };
type State = { visit: number; touched: boolean; since: number; phase: { at: string; state: string; attempt: number; deadline: number } };

const STATES = Number(process.argv[2]);

const target = object({
  name: 'target',
  handlers: {
    /** One transition: the state is read, judged and replaced. */
    receive: async (context: ObjectContext, message: Message): Promise<string> => {
      const state = await context.get<State>('state');
      const visit = (state?.visit ?? 0) + 1;
      if (message.type === 'result' && message.visit !== state?.visit) return 'stale';
      const at = visit > STATES ? 'done' : 'acting';
      const now = Date.now();
      context.set('state', {
        visit,
        touched: true,
        since: now,
        phase: { at, state: `s${visit - 1}`, attempt: 1, deadline: now + 3_600_000 },
      });
      return at;
    },
  },
});

const server = createServer(createEndpointHandler({ services: [target] }));
server.listen(0, '127.0.0.1', () => console.log((server.address() as AddressInfo).port));
