/** How many of a number: `all`, `rest`, a count, or a share such as `25%`. */

export type Amount = number | string;

export const AMOUNT_PATTERN = '^(all|rest|[1-9][0-9]*|(100|[1-9]?[0-9](\\.[0-9]+)?)%)$';

/**
 * The amount as a count of `total`. A share is rounded up, so that `10%` of three is one: a share that rounds to nothing
 * would stop a roll-out without a reason anybody can see.
 */
export function amountOf(amount: Amount, total: number): number {
  if (typeof amount === 'number') return Math.min(amount, total);
  if (amount === 'all' || amount === 'rest') return total;
  if (amount.endsWith('%')) return Math.min(total, Math.ceil((Number(amount.slice(0, -1)) / 100) * total));
  return Math.min(Number(amount), total);
}

/** As {@link amountOf}, rounded down: for what may be lost (failures), where rounding up would allow more than was said. */
export function allowanceOf(amount: Amount, total: number): number {
  if (typeof amount === 'string' && amount.endsWith('%')) return Math.floor((Number(amount.slice(0, -1)) / 100) * total);
  return amountOf(amount, total);
}
