// A vitest reporter: prints why a test was skipped from within (`skip(reason)`). The default one only counts
// them; what is skipped before it begins says so itself.
export default class SkipReporter {
  onTestCaseResult(test) {
    const { state, note } = test.result();
    if (state !== 'skipped' || note === undefined) return;
    process.stdout.write(` ↓ ${test.module.relativeModuleId} > ${test.name}: ${note}\n`);
  }
}
