/** The process of one lab host: it is told its options by its parent, tells its ports, and ends with its parent. */
import { type HostOptions, LabHost } from './host.ts';

let host: LabHost | undefined;

process.on('SIGINT', () => {});
process.on('disconnect', () => {
  host?.stop();
  process.exit(0);
});
process.once('message', (options: HostOptions) => {
  const started = new LabHost(options);
  host = started;
  process.on('SIGUSR2', () => void started.reboot());
  void started.boot().then((ports) => process.send?.(ports));
});
