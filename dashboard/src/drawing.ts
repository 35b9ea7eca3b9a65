/** Draws a page at most once a frame, whatever has changed in between. */
export function drawing(views: () => readonly (() => void)[]): { draw(): void; changed(): void } {
  let planned = false;
  const draw = (): void => {
    planned = false;
    for (const view of views()) view();
  };
  return {
    draw,
    changed() {
      if (planned) return;
      planned = true;
      requestAnimationFrame(draw);
    },
  };
}
