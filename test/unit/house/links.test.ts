import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import manifest from '~/package.json';
import { LIMITS } from '~/server/core/limits';

const root = fileURLToPath(new URL('../../..', import.meta.url));
const read = (path: string) => readFileSync(join(root, path), 'utf8');

const FOLDERS = [
  'bench',
  'cli',
  'dashboard',
  'demo',
  'docs',
  'lab',
  'packaging',
  'plugins',
  'scripts',
  'server',
  'tasks',
  'test',
];
const files = FOLDERS.flatMap((folder) =>
  readdirSync(join(root, folder), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(root.length)),
);
const DOCUMENTS = [
  ...readdirSync(root).filter((name) => name.endsWith('.md')),
  ...files.filter((path) => path.endsWith('.md')),
];
const PATH = new RegExp(`(?<![\\w./-])(?:${FOLDERS.join('|')})/[\\w./@-]*\\w`, 'g');

describe.each(DOCUMENTS)('%s', (document) => {
  const text = read(document);
  /** Without blocks of code, whose output names what is not ours. */
  const prose = text.replace(/^```[\s\S]*?^```/gm, '');

  it('links to what is there, headings included', () => {
    const targets = [...prose.matchAll(/\]\(([^)\s]+)\)|src="([^"]+)"/g)].map(
      ([, link, src]) => link ?? src ?? '',
    );
    const broken = targets.filter((target) => !/^https?:/.test(target) && !leadsSomewhere(document, target));
    expect(broken).toEqual([]);
  });

  it('names files, folders and npm scripts that there are', () => {
    const code = [...prose.matchAll(/`([^`\n]+)`/g)].map(([, inside = '']) => inside);
    const paths = (prose.match(PATH) ?? []).filter(
      (path) => !existsSync(join(root, path)) && !beginsAFile(path),
    );
    const modules = code.filter(
      (one) => /^[\w-]+\.(ts|mjs|sh)$/.test(one) && !files.some((path) => basename(path) === one),
    );
    const scripts = [...text.matchAll(/npm run ([\w:]+)/g)]
      .map(([, name = '']) => name)
      .filter((name) => !(name in manifest.scripts));
    const limits = [...text.matchAll(/LIMITS\.(\w+)/g)]
      .map(([, name = '']) => name)
      .filter((name) => !(name in LIMITS));
    expect({ paths, modules, scripts, limits }).toEqual({ paths: [], modules: [], scripts: [], limits: [] });
  });
});

it('sources, units and rules name only documents that there are', () => {
  const named = files
    .filter((path) => /\.(ts|mts|mjs|service|default|yml)$/.test(path))
    .flatMap((path) =>
      (read(path).match(/\bdocs\/[\w/-]+\.md\b/g) ?? []).map((document) => ({ path, document })),
    );
  expect(named.length).toBeGreaterThan(10);
  expect(named.filter(({ document }) => !existsSync(join(root, document)))).toEqual([]);
});

it('comments name only modules that there are', () => {
  const named = files
    .filter((path) => path.endsWith('.ts'))
    .flatMap((path) =>
      (read(path).match(/^\s*(?:\/\/|\/?\*).*$/gm) ?? [])
        .flatMap((comment) => comment.match(/(?<![\w/])\.{1,2}\/[\w./-]+\.ts\b/g) ?? [])
        .map((module) => ({ path, module })),
    );
  expect(named.length).toBeGreaterThan(20);
  expect(named.filter(({ path, module }) => !existsSync(join(root, dirname(path), module)))).toEqual([]);
});

function leadsSomewhere(document: string, target: string): boolean {
  const [path = '', anchor] = target.split('#');
  const file = path === '' ? document : join(dirname(document), path);
  if (!existsSync(join(root, file))) return false;
  return anchor === undefined || anchorsOf(read(file)).has(anchor);
}

/** Headings as GitHub makes anchors of them. */
function anchorsOf(text: string): Set<string> {
  return new Set(
    [...text.matchAll(/^#+ (.+)$/gm)].map(([, heading = '']) =>
      heading
        .toLowerCase()
        .replace(/[^\p{L}\p{N} _-]/gu, '')
        .replaceAll(' ', '-'),
    ),
  );
}

/** `unit/http/guard` and `test/contract/export-server` stand for the test file or the files that begin so. */
function beginsAFile(path: string): boolean {
  return files.some((file) => file.startsWith(path));
}
