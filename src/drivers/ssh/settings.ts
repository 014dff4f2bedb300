/** How to connect to a host: what the inventory says, else ~/.ssh/config, else OpenSSH's defaults. */
import { homedir, userInfo } from 'node:os';
import type { SshConnect } from '../../model/documents/index.ts';
import { configFile, expandHome } from './config-file.ts';

export type SshSettings = {
  host: string;
  port: number;
  user: string;
  identities: string[];
  /** Whether only the named identities are offered, and not the agent's others. */
  identitiesOnly: boolean;
  agent?: string;
  passphrase?: string;
  password?: string;
  knownHosts: string[];
  /** The name the key is looked up by; default the host's. */
  keyAlias?: string;
  jumps: string[];
  config?: string;
  connectTimeoutMs: number;
};

const DEFAULT_IDENTITIES = ['id_ed25519', 'id_ecdsa', 'id_rsa'];
const CONNECT_TIMEOUT_MS = 10_000;

function first(value: unknown): string | undefined {
  const one = Array.isArray(value) ? (value[0] as unknown) : value;
  return typeof one === 'string' ? one : undefined;
}

function list(value: unknown): string[] {
  if (Array.isArray(value)) return value.filter((one): one is string => typeof one === 'string');
  return typeof value === 'string' ? value.split(/\s+/) : [];
}

/** The settings for a target: the inventory's word counts most. */
export function settingsFor(id: string, connect: SshConnect, env: NodeJS.ProcessEnv = process.env): SshSettings {
  const alias = connect.host ?? id;
  const file = expandHome(connect.config ?? '~/.ssh/config');
  const config = configFile(file).compute(alias);
  const host = first(config['hostname'])?.replaceAll('%h', alias) ?? alias;
  const user = connect.user ?? first(config['user']) ?? env['USER'] ?? userInfo().username;
  const named = connect.identity === undefined ? list(config['identityfile']) : [connect.identity];
  const identities = named.length > 0 ? named : DEFAULT_IDENTITIES.map((name) => `~/.ssh/${name}`);
  const agentSetting = first(config['identityagent']);
  const agent =
    agentSetting === 'none'
      ? undefined
      : agentSetting !== undefined && agentSetting !== 'SSH_AUTH_SOCK'
        ? expandHome(agentSetting)
        : env['SSH_AUTH_SOCK'];
  const jump = connect.jump ?? first(config['proxyjump']);
  const keyAlias = first(config['hostkeyalias']);
  const files = connect.knownHosts === undefined ? list(config['userknownhostsfile']) : [connect.knownHosts];
  const timeout = Number(first(config['connecttimeout']));
  return {
    host,
    port: connect.port ?? Number(first(config['port']) ?? 22),
    user,
    identities: identities.map((path) => expandHome(path.replaceAll('%d', homedir()).replaceAll('%h', host).replaceAll('%r', user))),
    identitiesOnly: connect.identity !== undefined || first(config['identitiesonly'])?.toLowerCase() === 'yes',
    ...(agent === undefined || agent === '' ? {} : { agent }),
    ...(connect.passphrase === undefined ? {} : { passphrase: connect.passphrase }),
    ...(connect.password === undefined ? {} : { password: connect.password }),
    knownHosts: (files.length > 0 ? files : ['~/.ssh/known_hosts', '~/.ssh/known_hosts2', '/etc/ssh/ssh_known_hosts']).map(expandHome),
    ...(keyAlias === undefined ? {} : { keyAlias }),
    jumps: jump === undefined || jump === 'none' ? [] : jump.split(','),
    ...(connect.config === undefined ? {} : { config: connect.config }),
    connectTimeoutMs: Number.isFinite(timeout) && timeout > 0 ? timeout * 1000 : CONNECT_TIMEOUT_MS,
  };
}

/** `user@host:port` of a jump, as the settings of that host. */
export function jumpConnect(jump: string, config: string | undefined): SshConnect {
  const match = /^(?:([^@]+)@)?(\[[^\]]+\]|[^:]+)(?::(\d+))?$/.exec(jump.replace(/^ssh:\/\//, ''));
  const [, user, host = jump, port] = match ?? [];
  return {
    host: host.replace(/^\[|\]$/g, ''),
    ...(user === undefined ? {} : { user }),
    ...(port === undefined ? {} : { port: Number(port) }),
    ...(config === undefined ? {} : { config }),
  };
}
