/** The secrets a plan names, read where they are kept. */
import { readFileSync } from 'node:fs';
import { FaultError, fault } from '../model/fault.ts';
import type { Plan } from '../planning/plan.ts';

/**
 * Reads the secrets a plan names.
 *
 * @throws FaultError `secret-missing`, naming every one that cannot be read.
 */
export function readSecrets(plan: Plan, env: NodeJS.ProcessEnv = process.env): Record<string, string> {
  const secrets: Record<string, string> = {};
  const missing: string[] = [];
  for (const [name, from] of Object.entries(plan.secrets)) {
    let value: string | undefined;
    if (from.env !== undefined) value = env[from.env];
    else if (from.file !== undefined) {
      try {
        value = readFileSync(from.file, 'utf8').replace(/\r?\n$/, '');
      } catch {
        value = undefined;
      }
    }
    if (value === undefined) missing.push(`${name} (${from.env === undefined ? `file ${from.file}` : `environment variable ${from.env}`})`);
    else secrets[name] = value;
  }
  if (missing.length > 0)
    throw new FaultError(
      fault('secret-missing', plan.upgrade, `secrets cannot be read: ${missing.join(', ')}`, {
        remedy: 'Set the variables, or make the files readable, and try again.',
      }),
    );
  return secrets;
}
