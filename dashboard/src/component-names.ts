/** The components of health as the page calls them. */
export const COMPONENT_NAMES: Readonly<Record<string, string>> = {
  cloudstack: 'CloudStack',
  database: 'Database',
  device_monitor: 'Devices',
  export_server: 'NBD exports',
  access: 'Tokens',
  sync: 'Comparison',
  appliance: 'Appliance',
};
