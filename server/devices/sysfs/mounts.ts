export interface Mount {
  /** `major:minor`; of an anonymous device (btrfs, overlay) it says nothing about the disk. */
  readonly dev: string | null;
  readonly target: string;
  readonly type: string;
  readonly source: string;
  /** Options of the file system itself, such as `lowerdir=…` of an overlay; '' where they are not told. */
  readonly options: string;
}

/** File systems whose server may not answer: nothing below them is ever touched. */
const REMOTE =
  /^(nfs4?|cifs|smb3?|9p|virtiofs|fuse(\..+)?|fuseblk|ceph|afs|lustre|glusterfs|gfs2|ocfs2|autofs)$/;

/** proc(5): `36 35 98:0 /mnt1 /mnt/parent rw,noatime master:1 - ext3 /dev/root rw,errors=continue` */
export function parseMountinfo(text: string): Mount[] {
  return text.split('\n').flatMap((line) => {
    const fields = line.split(' ');
    const dash = fields.indexOf('-', 6);
    const [dev, target] = [fields[2], fields[4]];
    const [type, source, options = ''] = dash === -1 ? [] : fields.slice(dash + 1, dash + 4);
    if (dev === undefined || target === undefined || type === undefined || source === undefined) return [];
    return [{ dev, target: unescapeOctal(target), type, source: unescapeOctal(source), options }];
  });
}

/** `/dev/vdb1 /mnt ext4 rw 0 0`: what is left where there is no mountinfo. */
export function parseMounts(text: string): Mount[] {
  return text.split('\n').flatMap((line) => {
    const [source, target, type] = line.split(' ');
    if (!source || target === undefined || type === undefined) return [];
    return [{ dev: null, target: unescapeOctal(target), type, source: unescapeOctal(source), options: '' }];
  });
}

function isRemote(mount: Mount): boolean {
  return REMOTE.test(mount.type);
}

/**
 * Whether a path lies on a file system whose server may hang: what counts is the innermost mount around it.
 * Where `/` itself is remote (NFS, 9p, fuse-overlayfs), /dev is not.
 */
export function remotePaths(mounts: readonly Mount[]): (path: string) => boolean {
  const targets = (of: readonly Mount[]) => [...new Set(of.map(({ target }) => target))];
  const remote = targets(mounts.filter(isRemote));
  const all = targets(mounts);
  const innermost = (among: readonly string[], path: string) =>
    among.reduce(
      (longest, target) => (isBelow(path, target) ? Math.max(longest, target.length) : longest),
      0,
    );
  return (path) => {
    const around = innermost(remote, path);
    return around > 0 && innermost(all, path) === around;
  };
}

/** Is the path the folder or in it? */
export function isBelow(path: string, folder: string): boolean {
  return path === folder || path.startsWith(folder === '/' ? '/' : `${folder}/`);
}

/** The kernel writes blanks, tabs, line feeds and backslashes as three octal digits. */
export function unescapeOctal(text: string): string {
  return text.replace(/\\([0-7]{3})/g, (_match, octal: string) =>
    String.fromCharCode(Number.parseInt(octal, 8)),
  );
}
