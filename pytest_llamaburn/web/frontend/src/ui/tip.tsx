// One tooltip for the page: it shows the `data-tip` of what the pointer or the focus is on.
import type { ComponentChildren } from "preact";
import { useEffect, useRef } from "preact/hooks";

const ID = "tip";

/** Show more about the children on hover and on focus. */
export function Tip({ text, children }: { text: string; children: ComponentChildren }) {
  return (
    <span class="has-tip" data-tip={text} tabIndex={0}>
      {children}
    </span>
  );
}

/** Draw the tooltip; the page has it once. Escape hides it. */
export function Tips() {
  const box = useRef<HTMLDivElement>(null);
  useEffect(() => {
    let shown: HTMLElement | null = null;
    const hide = () => {
      shown?.removeAttribute("aria-describedby");
      shown = null;
      if (box.current) box.current.hidden = true;
    };
    const show = (event: Event) => {
      const target = (event.target as Element | null)?.closest?.<HTMLElement>("[data-tip]");
      if (target === shown) return;
      hide();
      if (!target || !box.current) return;
      shown = target;
      box.current.textContent = target.dataset.tip ?? "";
      box.current.hidden = false;
      target.setAttribute("aria-describedby", ID);
      place(box.current, target);
    };
    const key = (event: KeyboardEvent) => {
      if (event.key === "Escape") hide();
    };
    document.addEventListener("pointerover", show);
    document.addEventListener("focusin", show);
    document.addEventListener("focusout", hide);
    document.addEventListener("scroll", hide, true);
    document.addEventListener("keydown", key);
    return () => {
      document.removeEventListener("pointerover", show);
      document.removeEventListener("focusin", show);
      document.removeEventListener("focusout", hide);
      document.removeEventListener("scroll", hide, true);
      document.removeEventListener("keydown", key);
    };
  }, []);
  return <div id={ID} class="tip" role="tooltip" ref={box} hidden />;
}

function place(box: HTMLElement, target: HTMLElement): void {
  const about = target.getBoundingClientRect();
  const left = Math.min(about.left, document.documentElement.clientWidth - box.offsetWidth - 8);
  const below = about.bottom + 6;
  const fits = below + box.offsetHeight < innerHeight;
  box.style.left = `${Math.max(8, left)}px`;
  box.style.top = `${fits ? below : about.top - box.offsetHeight - 6}px`;
}
