/** One group: its members, who owns what, and what has changed last. */
import type { ChangesView, GroupCard, GroupChangeCard, MemberCard, RenewalsCard } from "../model/types.ts";
import { askFor } from "./dialogs.tsx";
import { count, grouped } from "./format.ts";
import {
  Cell,
  Clock,
  Crumbs,
  Empty,
  Findings,
  groupPhaseOf,
  memberState,
  Pill,
  Section,
  Shares,
  Since,
  Table,
  type Tone,
} from "./pieces.tsx";
import { ResourceGrid } from "./resource-grid.tsx";
import { doctor, entity, filter, mayControl } from "./store.ts";

export function GroupPage({ id }: { readonly id: string }) {
  const card = entity<GroupCard>(`group/${id}`).value;
  const changes = entity<ChangesView>(`group/${id}/changes`).value ?? [];
  if (card === undefined) {
    return (
      <main id="main">
        <Crumbs kind="group" id={id} />
        <Empty title={`There is no group "${id}" on this account`}>
          <p>
            <a href="#/">All clusters and groups</a>
          </p>
        </Empty>
      </main>
    );
  }
  const findings = (doctor.value?.findings ?? []).filter(({ subjects }) => subjects.includes(`group/${id}`));
  const wanted = filter.value.trim().toLowerCase();
  return (
    <main id="main">
      <Crumbs kind="group" id={id} />
      {card.problem !== null && <p class="banner banner-bad">{card.problem}</p>}
      <Summary card={card} />
      <Section title="Resources" note={<GridLegend />}>
        <div class="panel">
          {card.gridLeftOut !== null && <p class="warn-text">{card.gridLeftOut}</p>}
          {card.resources === 0 && <Empty title="No resource yet" />}
          {card.gridLeftOut === null && card.resources > 0 && (
            <ResourceGrid groupId={id} resources={card.resources} members={card.members} wanted={wanted} />
          )}
        </div>
      </Section>
      <Section
        title="Members"
        note={card.membersLeftOut > 0 ? `${card.membersLeftOut} more members are not shown` : undefined}
      >
        <Members group={id} card={card} />
      </Section>
      <Section title="Last changes">
        <Changes changes={changes} />
      </Section>
      {findings.length > 0 && (
        <Section title="Findings">
          <Findings findings={findings} />
        </Section>
      )}
    </main>
  );
}

function Summary({ card }: { readonly card: GroupCard }) {
  const { tone } = groupPhaseOf(card);
  return (
    <div class={`panel hero card-${tone}`}>
      <dl class="facts facts-wide">
        <Fact label="Resources" value={grouped(card.resources)} />
        <Fact label="Owned" value={grouped(card.owned)} />
        <Fact label="Moving" value={grouped(card.moving)} tone={card.moving > 0 ? "warn-text" : ""} />
        <Fact label="Unowned" value={grouped(card.unowned)} tone={card.unowned > 0 ? "bad-text" : ""} />
        <Fact label="Coordinator" value={card.coordinator ?? "none"} />
        <Fact label="Plan" value={card.planRevision === null ? "none" : grouped(card.planRevision)} />
      </dl>
      <div class="hero-deadline">
        <Shares
          parts={card.members}
          total={card.resources}
          label={`shares of ${count(card.members.length, "member")}`}
        />
      </div>
    </div>
  );
}

function Fact({
  label,
  value,
  tone = "",
}: {
  readonly label: string;
  readonly value: string;
  readonly tone?: string;
}) {
  return (
    <div>
      <dt>{label}</dt>
      <dd class={`ellipsis ${tone}`}>{value}</dd>
    </div>
  );
}

function GridLegend() {
  return (
    <ul class="legend">
      <li>
        <i class="swatch cell-owned" data-tint="0" />
        owned
      </li>
      <li>
        <i class="swatch cell-moving" />
        moving
      </li>
      <li>
        <i class="swatch cell-unowned" />
        unowned
      </li>
    </ul>
  );
}

const TONES: Readonly<Record<MemberCard["state"], Tone>> = {
  live: "good",
  draining: "warn",
  late: "bad",
  gone: "plain",
};

function Members({ group, card }: { readonly group: string; readonly card: GroupCard }) {
  const renewals = entity<RenewalsCard>(`renewals/${group}`).value ?? [];
  if (card.members.length === 0) return <Empty title="No member is there" />;
  return (
    <Table label="Members">
      <thead>
        <tr>
          <th scope="col">Member</th>
          <th scope="col">State</th>
          <th scope="col" class="number">
            Owns
          </th>
          <th scope="col" class="number">
            Planned
          </th>
          <th scope="col" class="number">
            Weight
          </th>
          <th scope="col">Zone</th>
          <th scope="col">Renewed</th>
          <th scope="col">Refuses</th>
          {mayControl && <th scope="col">Action</th>}
        </tr>
      </thead>
      <tbody>
        {card.members.map((member, index) => (
          <MemberRow key={member.id} group={group} member={member} renewedAt={renewals[index] ?? null} />
        ))}
      </tbody>
    </Table>
  );
}

interface MemberRowProps {
  readonly group: string;
  readonly member: MemberCard;
  readonly renewedAt: number | null;
}

function MemberRow({ group, member, renewedAt }: MemberRowProps) {
  const state = memberState(member, renewedAt);
  return (
    <tr class={state === "gone" ? "gone" : ""}>
      <th scope="row">
        <i class="dot" data-tint={member.tint % 12} data-hollow={state === "live" ? undefined : ""} />{" "}
        {member.id}
        {member.coordinates && <span class="dim"> coordinator</span>}
      </th>
      <Cell label="State">
        <Pill tone={TONES[state]}>{state}</Pill>
        {!member.presence && state !== "gone" && <span class="dim"> no presence</span>}
      </Cell>
      <Cell label="Owns" number>
        {grouped(member.owns)}
      </Cell>
      <Cell label="Planned" number>
        {member.planned === null ? "—" : grouped(member.planned)}
      </Cell>
      <Cell label="Weight" number>
        {member.weight}
      </Cell>
      <Cell label="Zone">{member.zone ?? "—"}</Cell>
      <Cell label="Renewed">
        {renewedAt === null || state === "gone" ? (
          "—"
        ) : (
          <>
            <Since at={renewedAt} /> <span class="dim">ago</span>
          </>
        )}
      </Cell>
      <Cell label="Refuses">{member.refuses.length === 0 ? "—" : member.refuses.join(", ")}</Cell>
      {mayControl && (
        <Cell label="Action">
          <DrainButton group={group} member={member} />
        </Cell>
      )}
    </tr>
  );
}

function DrainButton({ group, member }: { readonly group: string; readonly member: MemberCard }) {
  if (member.state === "gone") return null;
  const drains = member.state === "draining";
  const action = drains ? "rejoin" : "drain";
  const text = drains
    ? "It takes resources again."
    : "It gives up all of its resources; the other members take them.";
  return (
    <button
      type="button"
      onClick={() =>
        askFor({
          title: drains ? `Let ${member.id} rejoin` : `Drain ${member.id}`,
          text,
          button: drains ? "Rejoin" : "Drain",
          request: { action, group, member: member.id, confirm: member.id },
        })
      }
    >
      {drains ? "Rejoin…" : "Drain…"}
    </button>
  );
}

const CHANGES_SHOWN = 12;

function Changes({ changes }: { readonly changes: ChangesView }) {
  if (changes.length === 0) return <Empty title="No change was seen" />;
  return (
    <>
      <ChangeList changes={changes.slice(0, CHANGES_SHOWN)} />
      {changes.length > CHANGES_SHOWN && (
        <details class="more">
          <summary>{count(changes.length - CHANGES_SHOWN, "earlier change")}</summary>
          <ChangeList changes={changes.slice(CHANGES_SHOWN)} />
        </details>
      )}
    </>
  );
}

function ChangeList({ changes }: { readonly changes: ChangesView }) {
  return (
    <ol class="changes">
      {changes.map((change) => (
        <li
          key={`${change.what} ${change.change} ${change.member} ${change.reason} ${change.at - (change.at % 5_000)}`}
        >
          <span class="dim">
            <Clock at={change.at} />
          </span>
          <span>{changeText(change)}</span>
        </li>
      ))}
    </ol>
  );
}

function changeText(change: GroupChangeCard): string {
  const { what, member, from, reason, by, count: many, resources } = change;
  const who = member ?? "a member";
  if (what === "session") {
    if (change.change === "began") return `${who} joined`;
    const ended = by === null ? "" : `, ended by ${by}`;
    return `${who} is gone: ${reason ?? change.change}${ended}`;
  }
  if (what === "plan")
    return change.change === "planned" ? `${who} made a plan` : `the plan was ${change.change}`;
  if (what === "coordinator")
    return change.change === "claimed" ? `${who} coordinates` : `${who} no longer coordinates`;
  const names = resources.join(", ");
  const named = many > resources.length ? `${count(many, "resource")}: ${names}, …` : names;
  const origin = from !== null && from !== member ? ` from ${from}` : "";
  switch (change.change) {
    case "claimed":
      return `${who} owns ${named}${origin}`;
    case "released":
      return `${who} released ${named}`;
    case "lost":
      return `${who} lost ${named}: ${reason ?? "its session is over"}`;
    default:
      return `${named}: ${change.change}`;
  }
}
