/** The process of one lab host. */
import { LabHost } from './host.ts';
import { serveHost } from './serve-host.ts';

serveHost((options) => new LabHost(options));
