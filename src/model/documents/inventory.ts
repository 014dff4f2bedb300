/** The targets and the services that run on them. */
import * as s from '../schema.ts';
import { id, text, values, version } from './common.ts';

export const sshConnect = s.object({
  host: s.optional(s.string({ minLength: 1, expected: 'a host name, an address, or a Host of ~/.ssh/config' }), {
    description: 'Default: the target id.',
  }),
  port: s.optional(s.integer({ minimum: 1, maximum: 65535 })),
  user: s.optional(s.string({ minLength: 1 })),
  identity: s.optional(s.string({ minLength: 1 }), { description: 'A private key file; ~ is the home directory.' }),
  passphrase: s.optional(s.string(), { description: 'The key\'s passphrase, as a reference: "${secrets.NAME}".' }),
  password: s.optional(s.string(), { description: 'A password, as a reference: "${secrets.NAME}".' }),
  knownHosts: s.optional(s.string({ minLength: 1 }), { description: 'Default: ~/.ssh/known_hosts and /etc/ssh/ssh_known_hosts.' }),
  config: s.optional(s.string({ minLength: 1 }), { description: 'An OpenSSH client configuration; default ~/.ssh/config.' }),
  jump: s.optional(s.string({ minLength: 1 }), { description: 'ProxyJump: [user@]host[:port], several separated by commas.' }),
});
export type SshConnect = s.Static<typeof sshConnect>;

export const httpConnect = s.object({
  url: s.string({ pattern: '^https?://', expected: 'a URL that begins with http:// or https://' }),
  headers: s.optional(s.record(s.string())),
});

export const connect = s.object({ ssh: s.optional(sshConnect), http: s.optional(httpConnect) });
export type Connect = s.Static<typeof connect>;

export const target = s.object({
  id,
  title: s.optional(text),
  product: s.optional(id, { description: 'What runs there; default: the product of the upgrade.' }),
  version: s.optional(version, { description: 'The version it has, as far as is known; the procedure reads the real one.' }),
  labels: s.optional(s.record(s.string({ expected: 'a text (put numbers in quotes)' }))),
  vars: s.optional(values),
  connect: s.optional(connect),
});
export type Target = s.Static<typeof target>;

export const service = s.object({
  name: id,
  title: s.optional(text),
  on: s.array(id, { minItems: 1, description: 'The targets it runs on.' }),
  needs: s.optional(s.integer({ minimum: 1 }), { description: 'How many of them must be up for it to work (default 1).' }),
});
export type Service = s.Static<typeof service>;

export const inventory = s.object(
  {
    kind: s.literal('Inventory'),
    name: s.optional(text),
    defaults: s.optional(
      s.object({
        product: s.optional(id),
        version: s.optional(version),
        labels: s.optional(s.record(s.string())),
        vars: s.optional(values),
        connect: s.optional(connect),
      }),
      { description: 'What every target has that does not say otherwise.' },
    ),
    targets: s.array(target),
    services: s.optional(s.array(service)),
  },
  { title: 'Inventory', description: 'The targets to upgrade and the services that run on them.' },
);
export type Inventory = s.Static<typeof inventory>;
