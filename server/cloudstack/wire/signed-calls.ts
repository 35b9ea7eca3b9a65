import type { Clock } from '../../core/clock';
import { LIMITS } from '../../core/limits';
import type { Logger } from '../../core/log/logger';
import { CloudError, type Departure } from '../cloud';
import type { ActiveSettings, CloudSettings } from '../settings';
import { skewText } from './clock-skew';
import { createAgents } from './fetch-through';
import { type AskExpiring, ServerClock, type SkewSource } from './server-clock';
import { type Parameters, signedForm } from './signing';
import { createSender, post, type WireBody } from './transport';

/** Called after every call, for metrics and traces. */
export type CloudCallListener = (call: { command: string; ms: number; error: CloudError | null }) => void;

export interface CallParts {
  readonly settings: CloudSettings;
  readonly clock: Clock;
  readonly logger: Logger;
  /** PEM certificates of CAs to trust in addition to the usual ones. */
  readonly ca?: string | null;
  readonly onCall?: CloudCallListener;
}

export interface CallStatistics {
  readonly calls: number;
  readonly errors: number;
  /** CloudStack's clock minus ours; null while unknown. */
  readonly clockSkewMs: number | null;
  /** How the skew became known. */
  readonly clockSkewSource: SkewSource | null;
}

interface Sending {
  readonly timeoutMs?: number;
  /** Of a call that changes something. */
  readonly departs?: Departure | undefined;
}

interface Signed {
  /** CloudStack's time when it was signed, as far as we know it. */
  readonly signedMs: number;
  readonly begunMs: number;
  /** True when the answer had a Date header. */
  dated: boolean;
}

/**
 * Signed calls to the CloudStack of ossea_configs: sent once and counted; a 401 is corrected where the cause
 * is on our side.
 */
export class SignedCalls {
  private calls = 0;
  private errors = 0;
  private readonly time: ServerClock;
  private readonly sender: ReturnType<typeof createSender>;

  constructor(private readonly parts: CallParts) {
    this.time = new ServerClock(parts.clock);
    this.sender = createSender(createAgents(parts.ca));
  }

  statistics(): CallStatistics {
    const { skewMs: clockSkewMs, source: clockSkewSource } = this.time;
    return { calls: this.calls, errors: this.errors, clockSkewMs, clockSkewSource };
  }

  /**
   * One call. A 401 never had an effect, so a call that only reads is sent once more when the cause may be
   * ours: the credentials have changed, or CloudStack's clock differs from the one that we signed by. One
   * that changes something is not: the 401 and its correction may have taken a minute, and whoever sends it
   * has to look again at what may forbid it. The next call is signed by what was learned.
   */
  async call(command: string, parameters: Parameters, sending: Sending = {}): Promise<WireBody> {
    const settings = await this.parts.settings.require();
    const signed = this.begin();
    try {
      return await this.send(settings, command, parameters, signed, sending);
    } catch (error) {
      if (!(error instanceof CloudError) || error.kind !== 'authentication') throw error;
      const fresh = await this.parts.settings.reload();
      const changed =
        fresh !== null &&
        (fresh.apiKey !== settings.apiKey ||
          fresh.secretKey !== settings.secretKey ||
          fresh.endpoint !== settings.endpoint);
      if (!changed && !(await this.correctClock(settings, signed))) {
        // It may have been signed by the time of a header that a call before it has met.
        this.time.distrust();
        throw this.explain(error);
      }
      if (sending.departs) throw error;
      if (changed) return this.send(fresh, command, parameters, this.begin(), sending);
      return this.sendCorrected(settings, command, parameters, sending);
    }
  }

  /**
   * Measures CloudStack's clock when its answers have no Date header, at most once a minute. Throws
   * CloudError without a configuration.
   */
  async measureClock(): Promise<void> {
    if (this.time.source === 'date-header') return;
    await this.time.measureNow(this.probe(await this.parts.settings.require()));
  }

  private async sendCorrected(
    settings: ActiveSettings,
    command: string,
    parameters: Parameters,
    sending: Sending,
  ): Promise<WireBody> {
    try {
      return await this.send(settings, command, parameters, this.begin(), sending);
    } catch (error) {
      if (!(error instanceof CloudError) || error.kind !== 'authentication') throw error;
      this.time.distrust();
      throw this.explain(error);
    }
  }

  /**
   * True when the refused request was signed by a time that is not CloudStack's, so that sending it again can
   * help.
   */
  private async correctClock(
    settings: ActiveSettings,
    { signedMs, begunMs, dated }: Signed,
  ): Promise<boolean> {
    if (this.time.correct(signedMs, begunMs)) return true;
    if (dated) return false;
    await this.time.measureWhenDue(this.probe(settings));
    return this.time.correct(signedMs, begunMs);
  }

  /**
   * Sends the cheapest command with a given expiry. Any answer but a 401 means that the signature was
   * accepted.
   */
  private probe(settings: ActiveSettings): AskExpiring {
    return async (expiresMs) => {
      const command = 'listCapabilities';
      const form = signedForm(command, {}, settings, expiresMs);
      const timeoutMs = LIMITS.CLOCK_PROBE_TIMEOUT_MS;
      this.calls += 1;
      try {
        await post(this.sender, {
          endpoint: settings.endpoint,
          command,
          form,
          timeoutMs,
          onServerTime: () => {},
        });
        return 'taken';
      } catch (error) {
        if (!(error instanceof CloudError) || error.kind === 'network' || error.kind === 'rate-limit')
          return null;
        return error.kind === 'authentication' ? 'refused' : 'taken';
      }
    };
  }

  private begin(): Signed {
    return { signedMs: this.time.signingTime(), begunMs: this.parts.clock.monotonic(), dated: false };
  }

  private async send(
    settings: ActiveSettings,
    command: string,
    parameters: Parameters,
    signed: Signed,
    { timeoutMs = LIMITS.CLOUDSTACK_TIMEOUT_MS, departs = () => {} }: Sending,
  ): Promise<WireBody> {
    const { clock } = this.parts;
    const { endpoint } = settings;
    const form = signedForm(command, parameters, settings, signed.signedMs + LIMITS.SIGNATURE_LIFETIME_MS);
    const onServerTime = (at: number) => {
      signed.dated = true;
      this.time.heard(at);
    };
    departs();
    const begun = clock.monotonic();
    this.calls += 1;
    let failure: CloudError | null = null;
    try {
      return await post(this.sender, { endpoint, command, form, timeoutMs, onServerTime });
    } catch (error) {
      this.errors += 1;
      failure = error instanceof CloudError ? error : null;
      throw error;
    } finally {
      const ms = clock.monotonic() - begun;
      this.parts.onCall?.({ command, ms, error: failure });
      this.parts.logger.debug('CloudStack call', {
        command,
        ms: Math.round(ms),
        outcome: failure ? failure.message : 'ok',
      });
    }
  }

  /** A 401 has many causes; the message lists all that can be checked from here. */
  private explain(error: CloudError): CloudError {
    const { skewMs } = this.time;
    const skew =
      skewMs === null || Math.abs(skewMs) < LIMITS.CLOCK_SKEW_WARN_MS ? '' : ` And ${skewText(skewMs)}.`;
    const hint = `${error.message}. If it lasts: check api_key and secret_key in ossea_configs (and MIGRATEKIT_CRED_ENCRYPTION_KEY, where they are encrypted), the clock of this machine, the allowed source addresses, and whether CloudStack can read its own database.${skew}`;
    return new CloudError(hint, {
      kind: 'authentication',
      outcome: 'not-started',
      httpStatus: error.httpStatus,
      code: error.code,
      csCode: error.csCode,
      text: error.text,
      cause: error,
    });
  }
}
