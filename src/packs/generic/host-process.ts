/** The process of one lab host: it is told its options by its parent, tells its ports, and ends with its parent. */
import { type HostOptions, LabHost } from './host.ts';

process.on('disconnect', () => process.exit(0));
process.on('SIGINT', () => {});
process.once('message', (options: HostOptions) => {
  const host = new LabHost(options);
  process.on('SIGUSR2', () => void host.reboot());
  void host.boot().then((ports) => process.send?.(ports));
});
