/** The drivers there are. */
import { commandDriver } from './command/index.ts';
import { type Action, actionsOf, type Driver } from './contract.ts';
import { httpDriver } from './http/index.ts';
import { sshDriver } from './ssh/index.ts';

export type OpenDrivers = { actions: ReadonlyMap<string, Action>; close(): Promise<void> };

/** Opens every driver; none connects before it is used. */
export function openDrivers(): OpenDrivers {
  const drivers: Driver[] = [commandDriver(), sshDriver(), httpDriver()];
  return {
    actions: actionsOf(drivers),
    close: async () => {
      await Promise.all(drivers.map((driver) => driver.close()));
    },
  };
}
