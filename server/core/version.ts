import { version } from '../../package.json';

/** The version of the package, put into the build. */
export const VERSION: string = version;
