/** What a driver declares of an action, as data: what linting, planning and machines know of it. */
import type { Traits } from './documents/index.ts';
import type { Schema } from './schema.ts';

export type ActionDeclaration = {
  /** `driver.verb`, as procedures name it. */
  name: string;
  title: string;
  inputs: Schema<Record<string, unknown>>;
  /** Each outcome it can end with, and what that means. */
  outcomes: Record<string, string>;
  traits: Traits & {
    /** After an unknown outcome the driver can find out what became of it. */
    observable?: boolean;
    /** It is meant to cut its own connection (a reboot). */
    cutsConnection?: boolean;
  };
  /** The part of `connect` a target must have for it. */
  connects?: 'ssh' | 'http';
  /** Inputs that are shell commands: values put into them are quoted. */
  shell?: readonly string[];
  /** The fields `result` has, for type-checking expressions over it. */
  result: Record<string, 'string' | 'int' | 'bool' | 'dyn'>;
};

/** The declared actions, by name. */
export type ActionCatalog = ReadonlyMap<string, ActionDeclaration>;
