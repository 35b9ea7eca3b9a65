const SECOND_MS = 1_000;
const MINUTE_MS = 60 * SECOND_MS;
const HOUR_MS = 60 * MINUTE_MS;
const DAY_MS = 24 * HOUR_MS;

/** Precision of the search. `expires` has whole seconds, so more would be noise. */
const PRECISION_MS = 2 * SECOND_MS;

/** Distances from our own time that are tried before the bisection: minutes, a time zone, a dead battery. */
const STEPS_MS = [MINUTE_MS, 15 * MINUTE_MS, 2 * HOUR_MS, 26 * HOUR_MS, 60 * DAY_MS, 60 * 365 * DAY_MS];
const FARTHEST_MS = 60 * 365 * DAY_MS;

/** A server that enforces timestamps accepts no expiry further ahead than this. */
const WINDOW_MS = 15 * MINUTE_MS;
/** Offsets at which windows of that width leave no gap within an hour, and for whole hours up to three. */
const PLACES_MS = [7, 21, -7, 35, -21, 49, -35, 63, -49, 77, -63, 127, -113, 187, -173].map(
  (minutes) => minutes * MINUTE_MS,
);

/**
 * What CloudStack did with a request that expires at a certain time. null: nothing can be concluded from its
 * answer.
 */
export type ExpiryAnswer = 'taken' | 'refused' | null;

/** Sends a request that expires so many ms after our own time. */
type AskWithExpiry = (aheadMs: number) => Promise<ExpiryAnswer>;

/**
 * CloudStack's clock minus ours, ms, from the answers alone: a signature that has expired by CloudStack's
 * clock gets a 401, one that has not is accepted, and the edge between the two is CloudStack's time. The real
 * server sends no Date header, so there is no shorter way. Usually about 20 calls, at most 42. null when
 * every expiry is refused (then the clock is not the cause), or when the answers contradict each other: a
 * CloudStack that cannot read its database also answers 401.
 */
export async function measureSkew(ask: AskWithExpiry): Promise<number | null> {
  const edge = await findEdge(ask);
  if (edge === null) return null;
  let { expired, taken } = edge;
  while (taken - expired > PRECISION_MS) {
    const middle = Math.floor((taken + expired) / 2);
    const answer = await ask(middle);
    if (answer === null) return null;
    if (answer === 'taken') taken = middle;
    else expired = middle;
  }
  // A 401 with another cause may have misled the search: then one of its two ends is wrong.
  if ((await ask(taken + PRECISION_MS)) !== 'taken') return null;
  if ((await ask(expired - PRECISION_MS)) !== 'refused') return null;
  return Math.round((taken + expired) / 2);
}

/** The skew as text for logs and reports. `whose` is the other clock. */
export function skewText(skewMs: number, whose = "CloudStack's"): string {
  const seconds = Math.round(Math.abs(skewMs) / SECOND_MS);
  return `the clock of this machine is ${seconds} s ${skewMs > 0 ? 'behind' : 'ahead of'} ${whose}`;
}

interface Edge {
  /** An expiry that is in CloudStack's past, and a later one that is not. */
  readonly expired: number;
  readonly taken: number;
}

async function findEdge(ask: AskWithExpiry): Promise<Edge | null> {
  switch (await ask(FARTHEST_MS)) {
    case 'taken':
      return (await ask(0)) === 'taken' ? lookBack(ask) : lookAhead(ask);
    case 'refused':
      return findWindow(ask);
    default:
      return null;
  }
}

async function lookAhead(ask: AskWithExpiry): Promise<Edge | null> {
  let expired = 0;
  for (const step of STEPS_MS) {
    if ((await ask(step)) === 'taken') return { expired, taken: step };
    expired = step;
  }
  return null;
}

async function lookBack(ask: AskWithExpiry): Promise<Edge | null> {
  let taken = 0;
  for (const step of STEPS_MS) {
    if ((await ask(-step)) === 'refused') return { expired: -step, taken };
    taken = -step;
  }
  return null;
}

async function findWindow(ask: AskWithExpiry): Promise<Edge | null> {
  for (const place of PLACES_MS) {
    const answer = await ask(place);
    if (answer === null) return null;
    if (answer === 'taken') return { expired: place - WINDOW_MS - PRECISION_MS, taken: place };
  }
  return null;
}
