// A vitest reporter: prints the reason of tests that skip themselves (`skip(reason)`), which the default
// reporter only counts.
export default class SkipReporter {
  onTestCaseResult(test) {
    const { state, note } = test.result();
    if (state !== 'skipped' || note === undefined) return;
    process.stdout.write(` ↓ ${test.module.relativeModuleId} > ${test.name}: ${note}\n`);
  }
}
