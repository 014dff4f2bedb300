/** How many of a number: `all`, `rest`, a count, or a share such as `25%`. */

export type Amount = number | string;

/** Never nothing: a stage that may start none of its targets would wait for ever. */
export const AMOUNT_PATTERN = '^(all|rest|[1-9][0-9]*|(?!0(\\.0+)?%)(100|[1-9]?[0-9](\\.[0-9]+)?)%)$';

/** A share of a number, exactly: in floating point 7% of 100 is a little more than 7. */
function shareOf(share: string, total: number, round: 'up' | 'down'): number {
  const [whole = '', fraction = ''] = share.slice(0, -1).split('.');
  const parts = BigInt(whole + fraction) * BigInt(total);
  const unit = 100n * 10n ** BigInt(fraction.length);
  return Number(round === 'up' ? (parts + unit - 1n) / unit : parts / unit);
}

/**
 * The amount as a count of `total`. A share is rounded up, so that `10%` of three is one: a share that rounds to nothing
 * would stop a roll-out without a reason anybody can see.
 */
export function amountOf(amount: Amount, total: number): number {
  if (typeof amount === 'number') return Math.min(amount, total);
  if (amount === 'all' || amount === 'rest') return total;
  if (amount.endsWith('%')) return shareOf(amount, total, 'up');
  return Math.min(Number(amount), total);
}

/** As {@link amountOf}, rounded down: for what may be lost (failures), where rounding up would allow more than was said. */
export function allowanceOf(amount: Amount, total: number): number {
  if (typeof amount === 'string' && amount.endsWith('%')) return shareOf(amount, total, 'down');
  return amountOf(amount, total);
}
