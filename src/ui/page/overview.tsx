/** All clusters and groups as cards. */
import type { ClusterCard, DoctorView, GroupCard } from "../model/types.ts";
import { DeadlineBar } from "./deadline-bar.tsx";
import { count, grouped } from "./format.ts";
import { Lanes, windowOf } from "./lanes.tsx";
import { Clock, Empty, Findings, groupPhaseOf, Pill, phaseOf, Section, Shares, Since } from "./pieces.tsx";
import { account, clusterIds, doctor, entity, filter, groupIds } from "./store.ts";

const LANES_ON_CARD = 5;
const WINDOW_MS = 5 * 60_000;
const FINDINGS_SHOWN = 3;

export function Overview() {
  const found = account.value;
  const clusters = clusterIds.value;
  const groups = groupIds.value;
  const wanted = filter.value.trim().toLowerCase();
  const shownClusters = clusters.filter((id) => clusterMatches(id, wanted));
  const shownGroups = groups.filter((id) => groupMatches(id, wanted));
  return (
    <main id="main">
      <h1 class="sr-only">All clusters and groups</h1>
      <Totals />
      <Doctor view={doctor.value} />
      <Section title="Clusters" note={<LeftOut left={found?.clustersLeftOut ?? 0} what="clusters" />}>
        {clusters.length === 0 && <NoClusters listed={found?.listed === true} />}
        {clusters.length > 0 && shownClusters.length === 0 && <NoMatch />}
        <div class="cards">
          {shownClusters.map((id) => (
            <ClusterTile key={id} id={id} />
          ))}
        </div>
      </Section>
      {groups.length > 0 && (
        <Section title="Groups" note={<LeftOut left={found?.groupsLeftOut ?? 0} what="groups" />}>
          {shownGroups.length === 0 && <NoMatch />}
          <div class="cards">
            {shownGroups.map((id) => (
              <GroupTile key={id} id={id} />
            ))}
          </div>
        </Section>
      )}
    </main>
  );
}

function clusterMatches(id: string, wanted: string): boolean {
  if (wanted === "" || id.toLowerCase().includes(wanted)) return true;
  const nodes = entity<ClusterCard>(`cluster/${id}`).value?.nodes ?? [];
  return nodes.some((node) => node.id.toLowerCase().includes(wanted));
}

function groupMatches(id: string, wanted: string): boolean {
  if (wanted === "" || id.toLowerCase().includes(wanted)) return true;
  const members = entity<GroupCard>(`group/${id}`).value?.members ?? [];
  return members.some((member) => member.id.toLowerCase().includes(wanted));
}

function LeftOut({ left, what }: { readonly left: number; readonly what: string }) {
  return left === 0 ? null : <span class="warn-text">{`${left} more ${what} are not shown`}</span>;
}

function NoMatch() {
  return <Empty title={`Nothing matches "${filter.value.trim()}"`} />;
}

function NoClusters({ listed }: { readonly listed: boolean }) {
  if (!listed) return <Empty title="Looking for clusters and groups…" />;
  return (
    <Empty title="This account has no cluster yet">
      <p>
        A cluster appears here as soon as its first node has started:{" "}
        <code>nats-leader daemon --cluster-id billing --node-id a</code>
      </p>
    </Empty>
  );
}

function Totals() {
  const cards = clusterIds.value.flatMap((id) => entity<ClusterCard>(`cluster/${id}`).value ?? []);
  const groups = groupIds.value.flatMap((id) => entity<GroupCard>(`group/${id}`).value ?? []);
  const led = cards.filter(({ phase }) => phase === "led").length;
  const sum = (pick: (card: GroupCard) => number): number =>
    groups.reduce((all, card) => all + pick(card), 0);
  const nodes = cards.flatMap((card) => card.nodes.filter(({ state }) => state !== "absent")).length;
  return (
    <dl class="totals">
      <Total
        label="Clusters with a leader"
        value={`${grouped(led)} of ${grouped(cards.length)}`}
        bad={led < cards.length}
      />
      <Total label="Nodes" value={grouped(nodes)} />
      <Total label="Groups" value={grouped(groups.length)} />
      <Total
        label="Resources owned"
        value={`${grouped(sum((card) => card.owned))} of ${grouped(sum((card) => card.resources))}`}
        bad={groups.some((card) => card.problem !== null || groupPhaseOf(card).tone === "bad")}
      />
    </dl>
  );
}

function Total({
  label,
  value,
  bad = false,
}: {
  readonly label: string;
  readonly value: string;
  readonly bad?: boolean;
}) {
  return (
    <div class="total">
      <dt>{label}</dt>
      <dd class={bad ? "bad-text" : ""}>{value}</dd>
    </div>
  );
}

function Doctor({ view }: { readonly view: DoctorView | undefined }) {
  if (view === undefined || view.examinedAt === null) return null;
  const serious = view.findings.filter(({ severity }) => severity !== "note");
  const notes = view.findings.length - serious.length;
  const note = (
    <>
      {count(view.examined, "examination")}, the last at <Clock at={view.examinedAt} />
    </>
  );
  if (serious.length === 0) {
    return (
      <p class="doctor-ok">
        <Pill tone="good">healthy</Pill> Doctor has found nothing to do
        {notes > 0 && `; ${count(notes, "note")}`}. <span class="dim">{note}</span>
      </p>
    );
  }
  return (
    <Section title="Findings" note={note}>
      <Findings findings={serious.slice(0, FINDINGS_SHOWN)} />
      {serious.length > FINDINGS_SHOWN && (
        <details class="more">
          <summary>{count(serious.length - FINDINGS_SHOWN, "more finding")}</summary>
          <Findings findings={serious.slice(FINDINGS_SHOWN)} />
        </details>
      )}
    </Section>
  );
}

function ClusterTile({ id }: { readonly id: string }) {
  const card = entity<ClusterCard>(`cluster/${id}`).value;
  if (card === undefined) return null;
  const phase = phaseOf(card);
  const leader = card.nodes.find(({ leads }) => leads);
  const others = card.nodes.length - LANES_ON_CARD;
  const windowMs = windowOf(card.nodes, WINDOW_MS);
  const present = card.nodes.filter(({ state }) => state !== "absent").length;
  return (
    <a class={`card card-${phase.tone}`} href={`#/cluster/${id}`} data-cluster={id}>
      <header class="card-head">
        <h3 class="ellipsis">{id}</h3>
        <Pill tone={phase.tone}>{phase.text}</Pill>
      </header>
      <div class="leader-line" key={`${card.leader} ${card.epoch}`}>
        {card.leader === null ? (
          <p class="leader none">No leader</p>
        ) : (
          <p class="leader">
            <i class="dot dot-large" data-tint={(leader?.tint ?? 0) % 12} />
            <span class="ellipsis">{card.leader}</span>
          </p>
        )}
        <p class="epoch">
          <span class="dim">epoch</span> {grouped(card.epoch)}
        </p>
      </div>
      <p class="dim since-line">
        {card.since !== null && (
          <>
            leading for <Since at={card.since} />
          </>
        )}
        {card.since === null && card.phaseSince !== null && (
          <>
            for <Since at={card.phaseSince} />
          </>
        )}
        {card.since === null && card.phaseSince === null && (card.problem ?? "not read yet")}
      </p>
      <DeadlineBar id={id} />
      <Lanes nodes={card.nodes.slice(0, LANES_ON_CARD)} windowMs={windowMs} />
      <footer class="card-foot dim">
        <span>{count(present, "node")}</span>
        {others > 0 && <span>{`${others + card.nodesLeftOut} more`}</span>}
        <span class="push">{`last ${windowMs / 60_000} min`}</span>
      </footer>
    </a>
  );
}

function GroupTile({ id }: { readonly id: string }) {
  const card = entity<GroupCard>(`group/${id}`).value;
  if (card === undefined) return null;
  const { tone, text } = groupPhaseOf(card);
  return (
    <a class={`card card-${tone}`} href={`#/group/${id}`} data-group={id}>
      <header class="card-head">
        <h3 class="ellipsis">{id}</h3>
        {card.problem === null ? <Pill tone={tone}>{text}</Pill> : <Pill tone="bad">not read</Pill>}
      </header>
      {card.problem === null ? (
        <>
          <div class="leader-line">
            <p class="leader">{count(card.resources, "resource")}</p>
            <p class="epoch">{count(card.members.length + card.membersLeftOut, "member")}</p>
          </div>
          <p class="dim since-line ellipsis">
            {card.coordinator === null ? "no coordinator" : `coordinated by ${card.coordinator}`}
          </p>
          <Shares
            parts={card.members}
            total={card.resources}
            label={`shares of ${count(card.members.length, "member")}`}
          />
          <ul class="chips">
            {card.members.slice(0, 8).map((member) => (
              <li key={member.id}>
                <i
                  class="dot"
                  data-tint={member.tint % 12}
                  data-hollow={member.state === "live" ? undefined : ""}
                />
                <span class="ellipsis">{member.id}</span> <span class="dim">{grouped(member.owns)}</span>
              </li>
            ))}
            {card.members.length > 8 && <li class="dim">{`${card.members.length - 8} more`}</li>}
          </ul>
        </>
      ) : (
        <p class="dim">{card.problem}</p>
      )}
    </a>
  );
}
