/** The status letter of each member of a run. */
import type { RunState } from '../machines/run/state.ts';
import * as vector from '../model/vector.ts';

export function vectorCode(state: RunState): (member: number) => string {
  return (member) => vector.get(state.members, member);
}
