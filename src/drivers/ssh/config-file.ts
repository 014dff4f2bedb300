/** OpenSSH's client configuration. Format: ssh_config(5). */
import { existsSync, globSync, readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { isAbsolute, join } from 'node:path';
import SSHConfig from 'ssh-config';

/** As in OpenSSH; deeper ones are a circle. */
const MAX_INCLUDES = 16;

export type ConfigFile = { compute(host: string): Record<string, unknown> };

const files = new Map<string, ConfigFile>();

/** A configuration file, parsed once. `Match exec` is never run: reading a configuration must not start programs. */
export function configFile(file: string): ConfigFile {
  let config = files.get(file);
  if (!config) {
    const parsed = existsSync(file) ? SSHConfig.parse(textWithIncludes(file)) : undefined;
    config = {
      compute: (host) => (parsed?.compute({ Host: host }, { ignoreCase: true, matchExec: false }) ?? {}) as Record<string, unknown>,
    };
    files.set(file, config);
  }
  return config;
}

export function expandHome(path: string): string {
  return path === '~' || path.startsWith('~/') ? join(homedir(), path.slice(1)) : path;
}

/**
 * A file's text with what it includes in place, which the parser leaves out. After an included text the block around it begins again: at
 * the top of a file, that is every host. A Host block of a file that is included inside a Host block holds for its own pattern only.
 */
function textWithIncludes(file: string, depth = 0): string {
  let block = 'Host *';
  const lines = readFileSync(file, 'utf8').split('\n');
  return lines
    .map((line) => {
      if (/^\s*(host|match)[\s=]/i.test(line)) block = line;
      const [, patterns] = /^\s*include(?:\s*=\s*|\s+)(.+)$/i.exec(line) ?? [];
      if (patterns === undefined || depth === MAX_INCLUDES) return line;
      return [...included(patterns).map((one) => textWithIncludes(one, depth + 1)), block].join('\n');
    })
    .join('\n');
}

function included(patterns: string): string[] {
  const words = [...patterns.matchAll(/"([^"]*)"|(\S+)/g)].map(([, quoted, word]) => expandHome(quoted ?? (word as string)));
  return words.flatMap((word) => globSync(isAbsolute(word) ? word : join(homedir(), '.ssh', word)).sort());
}
