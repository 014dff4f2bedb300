/** The four kinds of document, by their `kind`. */
import type { JsonSchema, Schema } from '../schema.ts';
import { type Inventory, inventory } from './inventory.ts';
import { type Procedure, procedure } from './procedure.ts';
import { type Release, release } from './release.ts';
import { type Upgrade, upgrade } from './upgrade.ts';

export type { Check, Traits } from './common.ts';
export type { Connect, Inventory, Service, SshConnect, Target } from './inventory.ts';
export { LOST, type Procedure, type State, type Step, stepsOf } from './procedure.ts';
export type { Edge, Release, SchemeDocument } from './release.ts';
export type { Stage, Strategy, Upgrade, Window } from './upgrade.ts';

export type DocumentBody = Inventory | Release | Procedure | Upgrade;
export type Kind = DocumentBody['kind'];

export const SCHEMAS: Record<Kind, Schema<DocumentBody>> = {
  Inventory: inventory,
  Release: release,
  Procedure: procedure,
  Upgrade: upgrade,
};
export const KINDS = Object.keys(SCHEMAS) as Kind[];

/** The JSON Schema of a kind as editors want it, with its dialect. */
export function publishedSchema(kind: Kind): JsonSchema & { $schema: string } {
  return { $schema: 'https://json-schema.org/draft/2020-12/schema', ...SCHEMAS[kind] };
}
