// npm run package:deb: builds .output and packs it as a Debian package (docs/guides/install.md).
import { mkdirSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { packDeb } from './deb.mjs';
import { prepare, root, say } from './setup.mjs';

const HELP = `npm run package:deb [-- options]

Builds an installable Debian package of the daemon: build/volume-daemon_<version>_<architecture>.deb

  --with-node            put the Node that runs this command into the package, for systems whose own is older than 20.19
                         (Debian 12); without it the package depends on nodejs (>= 20.19)
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
  say(`packing${values['with-node'] ? ' with Node' : ''} (${values.compression})`);
  const path = packDeb({ out, withNode: values['with-node'], compression: values.compression });
  process.stdout.write(`${path}\n`);
}
