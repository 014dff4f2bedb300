/** One measured figure, beside its rival's and its goal. */
export type Figure = {
  name: string;
  value: number;
  unit: string;
  rival?: string;
  rivalValue?: number;
  /** Ours over the rival's, so that above 1 is more. */
  ratio?: number;
  goal?: string;
  met?: boolean;
};

export function printFigure(figure: Figure, json: boolean): void {
  if (json) {
    console.log(JSON.stringify(figure));
    return;
  }
  const show = (value: number) => (value >= 100 ? Math.round(value).toLocaleString('en') : value.toFixed(value >= 10 ? 1 : 2));
  const rival =
    figure.rival === undefined
      ? ''
      : `; ${figure.rival} ${show(figure.rivalValue ?? 0)} ${figure.unit} (× ${(figure.ratio ?? 0).toFixed(2)})`;
  const goal = figure.goal === undefined ? '' : `; goal ${figure.goal}: ${figure.met ? 'met' : 'MISSED'}`;
  console.log(`  ${figure.name}: ${show(figure.value)} ${figure.unit}${rival}${goal}`);
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] as number;
}

/** The value below which a share of the others lie. */
export function percentile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] as number;
}

/** The most memory this process has had, in MiB. */
export function peakMemory(): number {
  return process.resourceUsage().maxRSS / 1024;
}
