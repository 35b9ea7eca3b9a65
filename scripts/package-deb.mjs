// npm run package:deb: builds .output and packs it as a Debian package (docs/guides/install.md).
import { mkdirSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { packDeb } from './deb.mjs';
import { PACKAGED_NODE, packagedNode } from './packaged-node.mjs';
import { prepare, root, say } from './setup.mjs';

const HELP = `npm run package:deb [-- options]

Builds an installable Debian package of the daemon: build/volume-daemon_<version>_<architecture>.deb

  --with-node            put Node ${PACKAGED_NODE.version} (fetched from the npm registry) into the package, for systems whose own is older
                         than 20.19 (Debian 12) or no longer supported; without it the package depends on nodejs of 20.19 or 22.12
  --out <folder>         where to write the package (default: build)
  --compression <name>   xz (default), gzip or none
  --help                 this text

The same sources and SOURCE_DATE_EPOCH (default: the time of the last commit) give the same package, byte for byte.
`;

const { values } = parseArgs({
  options: {
    'with-node': { type: 'boolean', default: false },
    out: { type: 'string', default: join(root, 'build') },
    compression: { type: 'string', default: 'xz' },
    help: { type: 'boolean', default: false },
  },
});
if (values.help) {
  process.stdout.write(HELP);
} else {
  prepare([]);
  const out = resolve(values.out);
  mkdirSync(out, { recursive: true });
  const node = values['with-node'] ? packagedNode() : null;
  say(`packing${node ? ` with Node ${PACKAGED_NODE.version}` : ''} (${values.compression})`);
  const path = packDeb({ out, node, compression: values.compression });
  process.stdout.write(`${path}\n`);
}
