/** Vital product data of a SCSI disk, as sysfs shows it (SPC-4): one header of 4 bytes, then the page. */
const HEADER_BYTES = 4;

/** Page 0x80, the unit serial number. Null when it is another page or holds none. */
export function unitSerial(page: Buffer): string | null {
  const body = bodyOf(page, 0x80);
  return body && textOf(body);
}

/**
 * Page 0x83, the device identification: the first vendor specific name in letters, which is where QEMU puts
 * the serial. Null when there is none.
 */
export function deviceName(page: Buffer): string | null {
  const body = bodyOf(page, 0x83);
  if (!body) return null;
  for (let at = 0; at + HEADER_BYTES <= body.length; ) {
    const codeSet = body.readUInt8(at) & 0x0f;
    const type = body.readUInt8(at + 1) & 0x3f;
    const end = at + HEADER_BYTES + body.readUInt8(at + 3);
    const isText = codeSet === ASCII || codeSet === UTF_8;
    const text = isText && type === VENDOR_SPECIFIC ? textOf(body.subarray(at + HEADER_BYTES, end)) : null;
    // A name that is cut off by the end of what was read is no name.
    if (text !== null && end <= body.length) return text;
    at = end;
  }
  return null;
}

const ASCII = 2;
const UTF_8 = 3;
/** Association 0 (the disk itself) and type 0. */
const VENDOR_SPECIFIC = 0;

function bodyOf(page: Buffer, code: number): Buffer | null {
  if (page.length < HEADER_BYTES || page.readUInt8(1) !== code) return null;
  return page.subarray(HEADER_BYTES, HEADER_BYTES + page.readUInt16BE(2));
}

/** Padded with blanks or NULs. */
function textOf(bytes: Buffer): string | null {
  const text = bytes.toString('latin1').replaceAll('\0', ' ').trim();
  return text === '' ? null : text;
}
