import uPlot from 'uplot';
import { element, setAttribute, setText } from '../dom';
import { clockTime, minuteOfDay } from '../format';
import { latestStep } from './latest-step';

export interface ChartSeries {
  readonly label: string;
  readonly tone: 'good' | 'bad' | 'busy' | 'idle';
}

/** Values of one step each; null: not known. */
export type Points = readonly (number | null)[];

export interface Chart {
  readonly element: HTMLElement;
  /** Seconds since 1970 at which the steps begin, and the values of each series. */
  update(times: readonly number[], values: readonly Points[]): void;
}

const HEIGHT_PX = 144;

/**
 * Lines over time. A gap is a time of which nothing is known. The legend says the values under the
 * pointer, or the latest.
 */
export function chart(
  title: string,
  series: readonly ChartSeries[],
  format: (value: number) => string,
): Chart {
  const plot = element('div', { class: 'plot', role: 'img' });
  const legend = element('p', { class: 'legend' });
  const swatches = series.map(({ tone }) => element('span', { class: 'swatch', 'data-series': tone }));
  const texts = series.map(() => element('span'));
  legend.append(...swatches.map((swatch, index) => element('span', {}, swatch, texts[index] ?? '')));
  const when = element('span');
  legend.append(when);
  let data: uPlot.AlignedData = [[], ...series.map(() => [])];
  const say = (index: number | null): void => {
    const [times, ...values] = data;
    const at = index ?? latestStep(values);
    series.forEach(({ label }, each) => {
      const text = texts[each];
      if (text) setText(text, `${label}: ${valueText(values[each]?.[at], format)}`);
    });
    const time = times[at];
    setText(when, index === null || time === undefined ? '' : clockTime(time * 1000));
  };
  let drawn: uPlot | null = null;
  return {
    element: element('section', { class: 'card chart' }, element('h3', {}, title), legend, plot),
    update(times, values) {
      data = [[...times], ...values.map((points) => [...points])];
      drawn ??= draw(plot, swatches, series, format, data, say);
      drawn.setData(data);
      say(drawn.cursor.idx ?? null);
      setAttribute(plot, 'aria-label', `${title}: ${summary(series, values, format)}`);
    },
  };
}

function draw(
  plot: HTMLElement,
  swatches: readonly HTMLElement[],
  series: readonly ChartSeries[],
  format: (value: number) => string,
  data: uPlot.AlignedData,
  say: (index: number | null) => void,
): uPlot {
  const colorOf = (of: Element | undefined) => () => getComputedStyle(of ?? plot).color;
  const axis = {
    stroke: colorOf(plot),
    grid: { stroke: () => getComputedStyle(plot).borderTopColor, width: 1 },
  };
  const made = new uPlot(
    {
      width: plot.clientWidth,
      height: HEIGHT_PX,
      legend: { show: false },
      cursor: { y: false, drag: { x: false, y: false } },
      scales: { y: { range: (_, __, max) => [0, max > 0 ? max * 1.1 : 1] } },
      axes: [
        { ...axis, values: (_, ticks) => ticks.map((seconds) => minuteOfDay(seconds * 1000)) },
        {
          ...axis,
          size: 64,
          values: (_, ticks) => ticks.map((tick) => (Number.isNaN(tick) ? '' : format(tick))),
        },
      ],
      series: [
        {},
        ...series.map(({ label }, index) => ({
          label,
          stroke: colorOf(swatches[index]),
          width: 1.5,
          points: { show: true, size: 4, filter: isolated },
        })),
      ],
      hooks: { setCursor: [({ cursor }) => say(cursor.idx ?? null)] },
    },
    data,
    plot,
  );
  new ResizeObserver(() => made.setSize({ width: plot.clientWidth, height: HEIGHT_PX })).observe(plot);
  window.matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => made.redraw());
  return made;
}

/** Points with nothing known on either side: a line alone would not show them. */
function isolated({ data }: uPlot, series: number): number[] {
  const values = data[series] ?? [];
  const isKnown = (index: number): boolean => values[index] !== null && values[index] !== undefined;
  return [...values.keys()].filter((index) => isKnown(index) && !isKnown(index - 1) && !isKnown(index + 1));
}

function valueText(value: number | null | undefined, format: (value: number) => string): string {
  return value === null || value === undefined ? 'not known' : format(value);
}

/** The chart in words. */
function summary(
  series: readonly ChartSeries[],
  values: readonly Points[],
  format: (value: number) => string,
): string {
  const latest = latestStep(values);
  return series
    .map(({ label }, index) => {
      const known = (values[index] ?? []).filter((value) => value !== null);
      if (known.length === 0) return `${label} not known`;
      return `${label} at most ${format(Math.max(...known))}, now ${valueText(values[index]?.[latest], format)}`;
    })
    .join('; ');
}
