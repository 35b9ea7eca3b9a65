import type { ServerEvent } from './api';

/** A line longer than this is no event of ours. */
const LINE_CHARACTERS = 1024 * 1024;

/** Server-sent events out of the bytes of a response, as the HTML standard says; comments (heartbeats) vanish. */
export async function* readEvents(bytes: AsyncIterable<Uint8Array>): AsyncIterable<ServerEvent> {
  let id: string | null = null;
  let name = 'message';
  let data: string[] = [];
  for await (const line of lines(bytes)) {
    if (line === '') {
      if (data.length > 0) yield { id, name, data: data.join('\n') };
      id = null;
      name = 'message';
      data = [];
      continue;
    }
    const [, field = '', value = ''] = /^([^:]*):? ?(.*)$/s.exec(line) ?? [];
    if (field === 'id') id = value;
    else if (field === 'event') name = value;
    else if (field === 'data') data.push(value);
  }
}

async function* lines(bytes: AsyncIterable<Uint8Array>): AsyncIterable<string> {
  const decoder = new TextDecoder();
  let rest = '';
  for await (const chunk of bytes) {
    rest += decoder.decode(chunk, { stream: true });
    const complete = rest.split(/\r?\n/);
    rest = complete.pop() ?? '';
    if (rest.length > LINE_CHARACTERS) throw new Error('the event stream has a line without end');
    yield* complete;
  }
}
