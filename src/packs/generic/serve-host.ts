/** A lab host as a process: it is told its options by its parent, tells its ports, and ends with its parent. */
import type { HostOptions, LabHost } from './host.ts';

export function serveHost(make: (options: HostOptions) => LabHost): void {
  let host: LabHost | undefined;
  process.on('SIGINT', () => {});
  process.on('disconnect', () => {
    host?.stop();
    process.exit(0);
  });
  process.once('message', (options: HostOptions) => {
    const started = make(options);
    host = started;
    process.on('SIGUSR2', () => void started.reboot());
    void started.boot().then((ports) => process.send?.(ports));
  });
}
