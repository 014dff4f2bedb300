/** What is offered to log in: keys of the agent, key files, a password. */
import { existsSync, readFileSync } from 'node:fs';
import ssh2, {
  type BaseAgent as Agent,
  type AnyAuthMethod,
  type IdentityCallback,
  type ParsedKey,
  type SignCallback,
  type SigningRequestOptions,
} from 'ssh2';
import type { SshSettings } from './settings.ts';

const { BaseAgent, createAgent, utils } = ssh2;

export type Identities = {
  methods: AnyAuthMethod[];
  /** Why something that was named cannot be offered. */
  problems: string[];
};

export function identitiesOf(settings: SshSettings): Identities {
  const { user: username, passphrase } = settings;
  const files: AnyAuthMethod[] = [];
  const problems: string[] = [];
  /** Keys that are named, and that only the agent can use. */
  const elsewhere: ParsedKey[] = [];
  for (const file of settings.identities) {
    if (!existsSync(file)) {
      if (settings.identitiesOnly) problems.push(`${file} does not exist`);
      elsewhere.push(...publicKeys(`${file}.pub`));
      continue;
    }
    const text = readFileSync(file);
    const key = utils.parseKey(text, passphrase);
    if (key instanceof Error) {
      problems.push(
        /passphrase|encrypted|decrypt/i.test(key.message)
          ? `${file} is encrypted${passphrase === undefined ? ' and no passphrase is given' : ' and the passphrase does not fit'}`
          : `${file}: ${key.message}`,
      );
      elsewhere.push(...publicKeys(`${file}.pub`));
    } else if (!key.isPrivateKey()) elsewhere.push(key);
    else files.push({ type: 'publickey', username, key: text, ...(passphrase === undefined ? {} : { passphrase }) });
  }
  const agent = agentFor(settings, elsewhere, problems.length > 0);
  return {
    methods: [...(agent ? [{ type: 'agent' as const, username, agent }] : []), ...files, ...passwordMethods(settings)],
    problems,
  };
}

/** The agent, with as many of its keys as may be offered. */
function agentFor(settings: SshSettings, elsewhere: readonly ParsedKey[], problems: boolean): Agent | undefined {
  if (settings.agent === undefined || !existsSync(settings.agent)) return undefined;
  const agent = createAgent(settings.agent);
  if (!settings.identitiesOnly) return agent;
  if (elsewhere.length > 0) return new ChosenKeys(agent, elsewhere);
  // A named key is locked and its public half is not at hand: the agent may hold it.
  return problems ? agent : undefined;
}

/** A password, and the same as the answer where a host asks for it in its own words. */
function passwordMethods({ user: username, password }: SshSettings): AnyAuthMethod[] {
  if (password === undefined) return [];
  return [
    { type: 'password', username, password },
    {
      type: 'keyboard-interactive',
      username,
      // What is shown as it is typed is no password.
      prompt: (_name, _instructions, _language, prompts, finish) => finish(prompts.map(({ echo }) => (echo ? '' : password))),
    },
  ];
}

function publicKeys(file: string): ParsedKey[] {
  if (!existsSync(file)) return [];
  const key = utils.parseKey(readFileSync(file));
  return key instanceof Error ? [] : [key];
}

/** An agent of which only some keys are offered: with each key that does not fit, a host loses patience. */
class ChosenKeys extends BaseAgent<ParsedKey> {
  readonly #agent: Agent;
  readonly #wanted: readonly Buffer[];

  constructor(agent: Agent, wanted: readonly ParsedKey[]) {
    super();
    this.#agent = agent;
    this.#wanted = wanted.map((key) => key.getPublicSSH());
  }

  override getIdentities(done: IdentityCallback<ParsedKey>): void {
    this.#agent.getIdentities((error, keys) => {
      const parsed = (keys ?? []).map((key) => utils.parseKey(key as Buffer)).filter((key): key is ParsedKey => !(key instanceof Error));
      if (error) done(error);
      else
        done(
          undefined,
          parsed.filter((key) => this.#wanted.some((one) => one.equals(key.getPublicSSH()))),
        );
    });
  }

  override sign(key: ParsedKey, data: Buffer, options: SigningRequestOptions | SignCallback, done?: SignCallback): void {
    if (typeof options === 'function') this.#agent.sign(key, data, options);
    else this.#agent.sign(key, data, options, done);
  }
}
