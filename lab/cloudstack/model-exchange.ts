import { CloudError } from '~/server/cloudstack/cloud';
import { apiError, badAnswer } from '~/server/cloudstack/errors';
import type { Clock } from '~/server/core/clock';
import { CALL_FAULTS, type CallFault, type Fault } from './faults';
import type { CloudModel } from './model';
import { ApiError } from './records';
import type { Account } from './state/accounts';
import { toldTo, unauthorized } from './state/texts';
import { errorOf } from './wire/reply';

/**
 * What happens to a call on its way to the model and back, when there is no HTTP between: conditions, faults,
 * the client's timeout.
 */
export class ModelExchange {
  constructor(
    private readonly model: CloudModel,
    private readonly clock: Clock,
    private readonly account: Account,
  ) {}

  /** Throws CloudError as the client over HTTP does. */
  async call<T>(command: string, work: () => T | Promise<T>, timeoutMs: number): Promise<T> {
    if (this.model.isDown()) throw broken(command, 'ECONNRESET');
    const fault = this.model.faults.take(command, CALL_FAULTS);
    const once = () => this.model.exchange(command, () => this.authenticated(work));
    await this.strikeBefore(fault, command, timeoutMs, once);
    if (fault?.kind === 'duplicate-request') await once().catch(() => undefined);
    const [outcome] = await Promise.allSettled([once()]);
    await this.strikeAfter(fault, command, timeoutMs);
    if (outcome.status === 'fulfilled') return outcome.value;
    throw outcome.reason instanceof ApiError
      ? asCloudError(toldTo(this.account, outcome.reason))
      : outcome.reason;
  }

  /** A server that cannot look the key up answers 401, at once or when it has tried for a while. */
  private async authenticated<T>(work: () => T | Promise<T>): Promise<T> {
    const lockout = this.model.conditions.lockout(this.account);
    if (lockout === null) return work();
    await this.model.sleep(lockout.delayMs);
    throw unauthorized();
  }

  private async strikeBefore(
    fault: Fault<CallFault> | null,
    command: string,
    timeoutMs: number,
    once: () => Promise<unknown>,
  ): Promise<void> {
    switch (fault?.kind) {
      case 'fail-before-effect':
        throw broken(command, 'ECONNRESET');
      case 'status':
        throw statusError(fault, command);
      case 'html':
        throw badAnswer(command, fault.code ?? 503, 'not JSON');
      case 'delay': {
        const { ms = 100 } = fault;
        // The caller gives up waiting; the request arrives all the same.
        if (ms > timeoutMs)
          void this.clock
            .sleep(ms)
            .then(once)
            .catch(() => undefined);
        await this.pass(ms, command, timeoutMs);
        return;
      }
      default:
        return;
    }
  }

  private async strikeAfter(
    fault: Fault<CallFault> | null,
    command: string,
    timeoutMs: number,
  ): Promise<void> {
    switch (fault?.kind) {
      case 'drop-reply-after-effect':
        throw broken(command, 'ECONNRESET');
      case 'status-after-effect':
        throw statusError(fault, command);
      case 'garbage':
        throw badAnswer(command, 200, 'not JSON');
      case 'late-reply':
      case 'slow-bytes':
        await this.pass(fault.ms ?? 1000, command, timeoutMs);
        return;
      default:
        return;
    }
  }

  private async pass(ms: number, command: string, timeoutMs: number): Promise<void> {
    await this.clock.sleep(Math.min(ms, timeoutMs));
    if (ms > timeoutMs) throw broken(command, 'timeout');
  }
}

export function asCloudError({ code, csCode, message }: ApiError): CloudError {
  return apiError({ httpStatus: code, code, csCode, text: message });
}

function statusError(fault: Fault, command: string): CloudError {
  const code = fault.code ?? 503;
  return code < 530 && code >= 500 ? badAnswer(command, code, 'not JSON') : asCloudError(errorOf(fault));
}

function broken(command: string, why: string): CloudError {
  return new CloudError(`CloudStack did not answer ${command}: ${why}`, {
    kind: 'network',
    outcome: 'unknown',
  });
}
