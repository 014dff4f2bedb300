/** Options that several commands share, and how commands end. */
import { Option } from 'commander';

/** An option that may be given again. */
function gathered(value: string, before: string[] | undefined): string[] {
  return [...(before ?? []), value];
}

export const dataOption = () => new Option('--data <dir>', 'folder of the database (default: $UPSHIFT_DATA, else ./.upshift)');
export const jsonOption = () => new Option('--json', 'output for programs');
export const ansibleOption = () =>
  new Option(
    '--ansible <file>',
    'an Ansible inventory to use as the inventory (INI, YAML, or ansible-inventory --list); may be given again',
  ).argParser(gathered);
export const packOption = () =>
  new Option('--pack <name>', 'a pack whose procedures and upgrades come along; may be given again').argParser(gathered);
export const upgradeOption = () => new Option('--upgrade <name>', 'which upgrade, where the documents hold several');
export const keyOption = () => new Option('--key <key>', 'idempotency key: sending the same key twice does it once');

export function print(text: string): void {
  process.stdout.write(`${text}\n`);
}

export function printJson(value: unknown): void {
  process.stdout.write(`${JSON.stringify(value, null, 2)}\n`);
}
