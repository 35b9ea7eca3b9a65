import { readdirSync, statSync } from 'node:fs';
import { dirname, extname, join } from 'node:path';
import { type H3Event, serveStatic } from 'h3';
import { hasCode } from '../../core/has-code';
import { SharedFiles } from './shared-files';

/** Below this path are the files of the pages. They contain no data and need no token. */
const BASE = '/ui/';

/** Where the build has put them, beside the server. */
const PUBLIC_DIR = join(dirname(process.argv[1] ?? ''), '../public');

const TYPES: Readonly<Record<string, string>> = {
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.svg': 'image/svg+xml',
};

interface StaticFile {
  readonly path: string;
  readonly size: number;
  readonly etag: string;
  readonly type: string;
  readonly encoding?: 'gzip';
}

export function isFilePath(path: string): boolean {
  return path.startsWith(BASE);
}

const sharedFiles = new SharedFiles();

/** Answers with a file of the pages, false when the path is none. */
export async function serveFile(
  event: H3Event,
  files: () => ReadonlyMap<string, StaticFile>,
  shared: SharedFiles = sharedFiles,
): Promise<unknown> {
  if (!isFilePath(event.path)) return false;
  return serveStatic(event, {
    fallthrough: true,
    encodings: { gzip: '.gz' },
    indexNames: [],
    getMeta: (id) => files().get(id),
    getContents: (id) => {
      const file = files().get(id);
      const { res } = event.node;
      if (file === undefined || res.closed) return undefined;
      const stream = shared.stream(file.path);
      res.once('close', () => stream.destroy());
      return stream;
    },
  });
}

let known: ReadonlyMap<string, StaticFile> | null = null;

/** The files of this build, by the path of a request. They do not change while the process runs. */
export function builtFiles(): ReadonlyMap<string, StaticFile> {
  known ??= filesIn(PUBLIC_DIR);
  return known;
}

export function filesIn(publicDir: string): ReadonlyMap<string, StaticFile> {
  try {
    const names = readdirSync(join(publicDir, BASE));
    return new Map(names.map((name) => [`${BASE}${name}`, fileAt(join(publicDir, BASE, name))]));
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return new Map();
    throw error;
  }
}

function fileAt(path: string): StaticFile {
  const { size, mtimeMs } = statSync(path);
  const isCompressed = path.endsWith('.gz');
  return {
    path,
    size,
    etag: `"${size.toString(16)}-${Math.floor(mtimeMs).toString(16)}"`,
    type: TYPES[extname(isCompressed ? path.slice(0, -3) : path)] ?? 'application/octet-stream',
    ...(isCompressed && { encoding: 'gzip' }),
  };
}
