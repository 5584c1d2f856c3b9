/** Small parts that several views use. */
import type { ComponentChildren } from "preact";
import type {
  ClusterCard,
  FindingCard,
  GroupCard,
  MemberCard,
  NodeCard,
  RenewalsCard,
} from "../model/types.ts";
import { clock, coarse, grouped, whyNotText } from "./format.ts";
import { entity, now } from "./store.ts";

export type Tone = "good" | "warn" | "bad" | "plain";

export function Pill({ tone, children }: { readonly tone: Tone; readonly children: ComponentChildren }) {
  return <span class={`pill pill-${tone}`}>{children}</span>;
}

/** `3 min 12 s`, counting up; the time itself as the title. */
export function Since({ at }: { readonly at: number }) {
  return (
    <time dateTime={new Date(at).toISOString()} title={clock(at, now.value)}>
      {coarse(now.value - at)}
    </time>
  );
}

export function Clock({ at }: { readonly at: number }) {
  return <time dateTime={new Date(at).toISOString()}>{clock(at, now.value)}</time>;
}

export function Section(props: {
  readonly title: string;
  readonly note?: ComponentChildren;
  readonly children: ComponentChildren;
}) {
  return (
    <section class="section">
      <header class="section-head">
        <h2>{props.title}</h2>
        {props.note !== undefined && <div class="section-note">{props.note}</div>}
      </header>
      {props.children}
    </section>
  );
}

export function Empty({
  title,
  children,
}: {
  readonly title: string;
  readonly children?: ComponentChildren;
}) {
  return (
    <div class="empty">
      <p class="empty-title">{title}</p>
      {children}
    </div>
  );
}

/** One state of a cluster, in words. */
export function phaseOf(card: ClusterCard): { readonly tone: Tone; readonly text: string } {
  const leader = card.nodes.find(({ leads }) => leads);
  switch (card.phase) {
    case "led":
      if (leader?.state === "suspended") return { tone: "warn", text: "leader suspended" };
      if (leader?.state === "draining") return { tone: "warn", text: "leader draining" };
      return { tone: "good", text: "led" };
    case "released":
      return { tone: "warn", text: "handing over" };
    case "expired":
      return { tone: "bad", text: "no leader" };
    case "deleted":
      return { tone: "bad", text: "lease deleted" };
    case "garbage":
      return { tone: "bad", text: "unreadable lease" };
    case "vacant":
      return { tone: "plain", text: "never led" };
    case "unread":
      return { tone: "plain", text: "reading" };
    default:
      return card.phase satisfies never;
  }
}

/** One state of a group, in words. */
export function groupPhaseOf(card: GroupCard): { readonly tone: Tone; readonly text: string } {
  if (card.unowned > 0) return { tone: "bad", text: `${grouped(card.unowned)} unowned` };
  const renewals = entity<RenewalsCard>(`renewals/${card.id}`).value ?? [];
  const states = card.members.map((member, index) => memberState(member, renewals[index] ?? null));
  const isAlive = card.membersLeftOut > 0 || states.some((state) => state === "live" || state === "draining");
  if (card.members.length > 0 && !isAlive) return { tone: "bad", text: "no member is alive" };
  if (card.moving > 0) return { tone: "warn", text: `${grouped(card.moving)} moving` };
  return { tone: "good", text: "all owned" };
}

/** Its state now: between two changes of the group, only time passes. */
export function memberState(member: MemberCard, renewedAt: number | null): MemberCard["state"] {
  const isOver = renewedAt !== null && now.value - renewedAt > member.ttlMs;
  return isOver && member.state !== "gone" ? "late" : member.state;
}

export function WhyNotText({ node }: { readonly node: NodeCard }) {
  if (node.whyNot === null) return <span class="dim">{node.leads ? "leads" : "ready"}</span>;
  const left = node.whyNotUntil === null ? 0 : node.whyNotUntil - now.value;
  return (
    <span class={node.whyNot === "observer" || node.whyNot === "withdrawn" ? "dim" : "warn-text"}>
      {whyNotText(node.whyNot)}
      {left > 0 && `, ${Math.ceil(left / 1_000)} s`}
    </span>
  );
}

const TONES: Readonly<Record<FindingCard["severity"], Tone>> = {
  critical: "bad",
  warning: "warn",
  note: "plain",
};

export function Findings({ findings }: { readonly findings: readonly FindingCard[] }) {
  return (
    <ul class="findings">
      {findings.map((finding) => (
        <li key={`${finding.code} ${finding.where}`} class={`finding finding-${finding.severity}`}>
          <p class="finding-head">
            <Pill tone={TONES[finding.severity]}>{finding.severity}</Pill>
            <strong>{finding.where}</strong>
            <code>{finding.code}</code>
          </p>
          <p>{finding.what}</p>
          <p class="dim">{finding.todo}</p>
        </li>
      ))}
    </ul>
  );
}

/** Members' shares of the resources, as one bar. */
export function Shares(props: {
  readonly parts: ReadonlyArray<{ readonly id: string; readonly tint: number; readonly owns: number }>;
  readonly total: number;
  readonly label: string;
}) {
  const { parts, total, label } = props;
  return (
    <div class="shares" role="img" aria-label={label}>
      {parts
        .filter(({ owns }) => owns > 0)
        .map(({ id, tint, owns }) => (
          <i
            key={id}
            class="share"
            data-tint={tint % 12}
            style={{ width: `${(100 * owns) / Math.max(1, total)}%` }}
            title={`${id}: ${owns}`}
          />
        ))}
    </div>
  );
}

/** A table that scrolls where it does not fit, also by the keyboard. On phones each row is a block. */
export function Table({ label, children }: { readonly label: string; readonly children: ComponentChildren }) {
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reachable by the keyboard
    <section class="table-wrap" tabIndex={0} aria-label={label}>
      <table class="stack">{children}</table>
    </section>
  );
}

/** A cell, with the name of its column for phones. */
export function Cell(props: {
  readonly label: string;
  readonly number?: boolean;
  readonly children: ComponentChildren;
}) {
  return (
    <td data-label={props.label} class={props.number === true ? "number" : ""}>
      <div>{props.children}</div>
    </td>
  );
}

/** Where a page of one cluster or group stands. */
export function Crumbs({ kind, id }: { readonly kind: "cluster" | "group"; readonly id: string }) {
  return (
    <nav class="crumbs" aria-label="Place">
      <a href="#/">All</a>
      <span aria-hidden="true">/</span>
      <h1>
        <span class="dim">{kind}</span> {id}
      </h1>
    </nav>
  );
}
