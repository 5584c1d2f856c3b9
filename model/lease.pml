/*
 * The lease protocol of nats-leader: src/election and src/runtime, with a faulty network, faulty processes and slow clocks.
 *
 * Every step is one atomic option of a loop; its comment names the function it stands for. README.md beside this file maps the
 * steps to the code and lists what is left out. Bounds and faults are macros: -DNODES=3, -DBUG_NO_MARGIN, -DPROBE_EXPIRY.
 *
 * Time advances in ticks. There are no clock values, only the ticks that remain of each span by the clock of its node: a deadline
 * is reached at `left == 0`. Node 0 has the slow clock: it may miss one tick of every SLIP_EVERY.
 */

/* ------------------------------------------------------------------------------------------------ bounds */
#ifndef NODES
#define NODES 2
#endif
/* W and S, in ticks. SLIP_EVERY: the clocks' rates differ by up to one tick in so many. */
#ifndef WAIT
#define WAIT 3
#endif
#ifndef SPAN
#define SPAN (WAIT - 1)
#endif
#ifndef SLIP_EVERY
#define SLIP_EVERY 3
#endif
/* Writes applied to the key, of all nodes together. */
#ifndef REVISIONS
#define REVISIONS 3
#endif
#if REVISIONS > 5
#error "the model's reads and watch cover five revisions"
#endif
/* Connections lost, processes frozen or killed, step-downs: of all nodes together. */
#ifndef CUTS
#define CUTS 1
#endif
#ifndef FREEZES
#define FREEZES 0
#endif
#ifndef CRASHES
#define CRASHES 0
#endif
#ifndef DRAINS
#define DRAINS 0
#endif
/* Ticks within which a write has an outcome. */
#ifndef DELAY
#define DELAY 0
#endif
/* crashDetection: 1 presence, 0 lease */
#ifndef PRESENCE
#define PRESENCE 1
#endif
/* How often an operator overwrites the key with garbage. */
#ifndef GARBAGE
#define GARBAGE 0
#endif

#ifdef BUG_NO_MARGIN
#undef SPAN
#define SPAN WAIT
#endif

/* ------------------------------------------------------------------------------------------------ the bucket */
/* Entry.kind */
#define NOTHING 0
#define RECORD 1
#define RELEASED 2
#define RUBBISH 3

/* Entry.how */
#define EXPIRED 1
#define DIED 2
#define LET_GO 3

typedef Entry {
  byte kind;
  byte owner;    /* incarnation */
  byte token;    /* epoch */
  byte session;  /* the connection a record names, the promise of a presence with it; 0: none */
  bit asked;     /* ghost: the deletion of this revision was requested */
  byte how;      /* ghost, for the probes: how the lease changed hands here */
};
/* Every entry of the key so far: a view and an answer of any age are revisions. */
Entry log[REVISIONS + 1];
byte last;        /* the key's last revision */

/* ------------------------------------------------------------------------------------------------ writes under way */
/* Write.kind */
#define ACQUIRE 1
#define RENEW 2
#define RELEASE 3
/* Write.net: the state of the write. SENT: on its way, against the key's last revision. One against an older revision can only be
   refused: it is, from the moment at which that is so. */
#define FREE 0
#define SENT 1
#define APPLIED 2
#define REFUSED 3
#define LOST 4

typedef Write {
  byte net;
  byte kind;
  byte owner;
  byte token;
  byte session;
  byte rev;      /* once applied */
  byte left;     /* of S since it was sent, by its sender's clock */
  bit known;     /* the sender remembers it: writes.unsettled */
};
/* Two for each node: FLYING is the one whose outcome is awaited (inFlight), STRAY was given up but may still be applied. */
#define FLYING(i) w[(i) * 2]
#define STRAY(i) w[(i) * 2 + 1]
Write w[NODES * 2];

/* ------------------------------------------------------------------------------------------------ a node */
/* role; campaigning includes: sent, outcome unknown */
#define FOLLOWER 0
#define CAMPAIGNING 1
#define LEADER 2
#define SUSPENDED 3
#define DRAINING 4
/* proc */
#define AWAKE 0
#define FROZEN 1
#define DEAD 2

byte proc[NODES];
byte role[NODES];
byte me[NODES];        /* incarnation; (me - 1) % NODES is the node */
byte conn[NODES];      /* the present or last connection; ids are not reused */
bit up[NODES];         /* the socket is open */
bit connected[NODES];  /* link.connected */
bit willing[NODES];    /* competes, and no cooldown */
byte seen[NODES];      /* lease.newestRevision; the view is log[seen] */
byte high[NODES];      /* highestEpoch */
byte wait[NODES];      /* what is left of the takeoverWait */
byte gone[NODES];      /* the connection whose end was last confirmed */
byte left[NODES];      /* until the term's deadline */
bit drained[NODES];    /* work has stopped */
bit fresh[NODES];      /* Freshness.isFresh */
bit calm[NODES];       /* ghost: the connection has not ended since draining began */

byte slip;             /* ticks until the slow clock may miss one again */
byte since;            /* ghost: real ticks since the last write was applied, at most WAIT */
byte lastTerm;         /* ghost: epoch of the newest term */
byte cuts;
byte freezes;
byte crashes;
byte drains;
byte rubbish;

/* ------------------------------------------------------------------------------------------------ words */
#define IN_TERM(i) (role[i] >= LEADER)
#define IDLE(i) (FLYING(i).net == FREE)
#define RUNS(i) (proc[i] == AWAKE)
#define VIEW(i) log[seen[i]]
#ifdef BUG_MINE_BY_NODE_ID
#define MINE(i, r) (log[r].kind == RECORD && (log[r].owner - 1) % NODES == i)
#else
#define MINE(i, r) (log[r].kind == RECORD && log[r].owner == me[i])
#endif
#define FOREIGN(i, r) (log[r].kind == RECORD && !MINE(i, r))
/* Confirmed by the server that held it. */
#define CLOSED(c) (conn[((c) - 1) % NODES] != (c) || !up[((c) - 1) % NODES])
#define SESSION(i) (PRESENCE -> conn[i] : 0)

/* Driver.isHeld. For a frozen process: as if it were thawed at this moment. */
#if defined(BUG_NO_FRESHNESS)
#define HELD(i) (role[i] == LEADER && proc[i] != DEAD && left[i] > 0)
#else
#define HELD(i) (role[i] == LEADER && proc[i] != DEAD && left[i] > 0 && (!PRESENCE || fresh[i]))
#endif
/* Held, or draining on its connection. */
#define ACTS(i) (HELD(i) || (role[i] == DRAINING && !drained[i] && proc[i] != DEAD && left[i] > 0 && calm[i]))

#if NODES == 2
#define ONE_AT_MOST (!(ACTS(0) && ACTS(1)))
#else
#define ONE_AT_MOST (!(ACTS(0) && ACTS(1)) && !(ACTS(0) && ACTS(2)) && !(ACTS(1) && ACTS(2)))
#endif

/* The connection must be checked: outlook.ts dependsOnConnection. */
#define DEPENDS(i) (PRESENCE && connected[i] && (IN_TERM(i) || FLYING(i).known || STRAY(i).known))

inline settle(q) {
  w[q].net = FREE; w[q].kind = 0; w[q].owner = 0; w[q].token = 0;
  w[q].session = 0; w[q].rev = 0; w[q].left = 0; w[q].known = 0
}

/* writes.unsettled without this one, which may still be applied. */
inline forget(q) {
  if
  :: (q) % 2 == 0 -> w[q].known = 0
  :: (q) % 2 == 1 && w[q].net == SENT -> w[q].known = 0; w[q].left = 0
  :: else -> settle(q)
  fi
}

inline forget_all(i) { forget(i * 2); forget(i * 2 + 1) }

/* The end of every step of a node: variables without meaning in its role get one value, so that equal states are equal. */
inline rest(i) {
  if
  :: !DEPENDS(i) -> fresh[i] = 0
  :: else
  fi;
  if
  :: !IN_TERM(i) -> left[i] = 0
  :: else
  fi;
  if
  :: role[i] != DRAINING -> drained[i] = 0; calm[i] = 0
  :: else
  fi;
  assert(ONE_AT_MOST)  /* invariant 1 */
}

/* ------------------------------------------------------------------------------------------------ observe.ts */
/* observe, observeRecord, wait */
inline observe(i, r) {
  if
  :: MINE(i, r)
  :: FOREIGN(i, r) && gone[i] != 0 && log[r].session == gone[i] -> wait[i] = 0
#ifdef BUG_NO_WAIT
  :: FOREIGN(i, r) && !(gone[i] != 0 && log[r].session == gone[i]) -> wait[i] = 0
#else
  :: FOREIGN(i, r) && !(gone[i] != 0 && log[r].session == gone[i]) -> wait[i] = WAIT
#endif
#ifdef BUG_GARBAGE_IS_VACANT
  :: log[r].kind == RUBBISH -> wait[i] = 0
#else
  :: log[r].kind == RUBBISH -> wait[i] = WAIT
#endif
  :: log[r].kind == RELEASED -> wait[i] = 0
  fi;
  assert(r >= seen[i]);  /* invariant 9 */
  seen[i] = r;
  /* isFromAnotherHistory: a newer message of a smaller epoch; one bucket has none. */
  assert(log[r].kind == RUBBISH || log[r].token >= high[i]);
  if
  :: log[r].token > high[i] -> high[i] = log[r].token
  :: else
  fi
}

/* observeOwnRelease */
inline note_release(i) {
  if
  :: FLYING(i).rev >= seen[i] -> seen[i] = FLYING(i).rev; wait[i] = 0
  :: else
  fi
}

/* ------------------------------------------------------------------------------------------------ leader.ts */
/* The deadline counts from when the write was sent, not from its ack or read. */
inline count_from(i, q) {
#ifdef BUG_DEADLINE_FROM_ACK
  left[i] = SPAN
#else
  left[i] = w[q].left
#endif
}

/* become: write q is known to be applied. */
inline become(i, q) {
  assert(role[i] == FOLLOWER || role[i] == CAMPAIGNING);
  assert(w[q].left > 0);
  assert(!log[w[q].rev].asked);          /* no term on a record whose deletion was requested */
  assert(w[q].token > lastTerm);         /* invariant 2 */
  lastTerm = w[q].token;
  role[i] = LEADER;
  count_from(i, q);
  assert(w[q].rev >= seen[i]);  /* invariant 9 */
  seen[i] = w[q].rev;
  wait[i] = 0;
  if
  :: w[q].token > high[i] -> high[i] = w[q].token
  :: else
  fi;
#ifdef PROBE_EXPIRY
  assert(log[w[q].rev].how != EXPIRED);
#endif
#ifdef PROBE_PRESENCE
  assert(log[w[q].rev].how != DIED);
#endif
#ifdef PROBE_RELEASE
  assert(log[w[q].rev].how != LET_GO);
#endif
#ifdef PROBE_ADOPTED_ORPHAN
  assert((q) % 2 == 0);
#endif
  forget_all(i)
}

/* confirm: a renewal is known to be applied. Older ones need not be remembered. */
inline confirm(i, q) {
  assert(IN_TERM(i));
  count_from(i, q);
  /* Invariant 9; the ack of a renewal may come after garbage over it was read. */
  assert(w[q].rev >= seen[i] || VIEW(i).kind == RUBBISH);
  seen[i] = (w[q].rev > seen[i] -> w[q].rev : seen[i]);
  if
  :: (q) % 2 == 0 -> forget(i * 2 + 1)
  :: else
  fi;
  forget(q)
}

inline end_drain(i) {
  role[i] = FOLLOWER;
  willing[i] = 0;  /* cooldownUntilMono */
  forget_all(i)
}

/* lose */
inline lose(i) {
  if
  :: role[i] == DRAINING -> end_drain(i)
  :: else ->
    role[i] = FOLLOWER;
#ifndef BUG_LOST_TERM_REMEMBERED
    forget_all(i)
#endif
  fi
}

/* endHopelessDrain */
inline end_hopeless_drain(i) {
  if
  :: role[i] == DRAINING && drained[i] && !connected[i] && IDLE(i) -> end_drain(i)
  :: else
  fi
}

/* onDisconnected, suspend */
inline disconnected_event(i) {
  connected[i] = 0;
  if
  :: PRESENCE -> calm[i] = 0
  :: else
  fi;
#ifndef BUG_NOT_SUSPENDED
  if
  :: role[i] == LEADER && PRESENCE -> role[i] = SUSPENDED
  :: else
  fi;
#endif
  end_hopeless_drain(i)
}

/* ------------------------------------------------------------------------------------------------ follower.ts */
/* mayAdopt */
#ifdef BUG_ADOPT_LATE
#define IN_TIME(q) 1
#else
#define IN_TIME(q) (w[q].left > 0)
#endif
#ifdef BUG_ADOPT_OTHER_CONNECTION
#define SAME_CONNECTION(i, q) 1
#else
#define SAME_CONNECTION(i, q) (!PRESENCE || w[q].session == conn[i])
#endif
#define MAY_ADOPT(i, q) (w[q].known && willing[i] && connected[i] && IN_TIME(q) && SAME_CONNECTION(i, q))

/* ------------------------------------------------------------------------------------------------ writes.ts */
#ifdef BUG_BLIND_DELETE
#define BLIND(q) (w[q].kind == RELEASE)
#elif defined(BUG_BLIND_PUT)
#define BLIND(q) (w[q].kind != RELEASE)
#else
#define BLIND(q) 0
#endif

/* sendRecord, sendRelease */
inline send(i, what) {
  FLYING(i).kind = what;
  FLYING(i).net = (!up[i] -> LOST : (seen[i] == last || BLIND(i * 2) -> SENT : REFUSED));
  FLYING(i).owner = me[i];
  FLYING(i).left = SPAN;
  if
  :: what != RELEASE ->
    /* Freshness.start, unless it runs: the moment itself counts as a check. */
    if
    :: !DEPENDS(i) && PRESENCE -> fresh[i] = 1
    :: else
    fi;
    FLYING(i).session = SESSION(i);
    FLYING(i).known = 1
  :: else
  fi
}

/* The epoch of a write against this revision. Where none can be read, the revision is the bound. */
#ifdef BUG_EPOCH_RESET
#define NEXT_EPOCH(i) 1
#else
#define FLOOR(i) (VIEW(i).kind == RUBBISH -> seen[i] : VIEW(i).token)
#define NEXT_EPOCH(i) ((FLOOR(i) > high[i] -> FLOOR(i) : high[i]) + 1)
#endif

/* ------------------------------------------------------------------------------------------------ the server */
/* Invariant 11, by true time and by the sockets. */
inline judge_takeover(q) {
  if
  :: log[last].kind == RUBBISH -> assert(since >= WAIT)
  :: log[last].kind == RECORD && log[last].owner != w[q].owner ->
    assert(since >= WAIT || (PRESENCE && CLOSED(log[last].session)));
#ifdef PROBES
    log[last + 1].how = (since >= WAIT && !(PRESENCE && CLOSED(log[last].session)) -> EXPIRED : (since < WAIT -> DIED : 0))
#endif
  :: else ->
#ifdef PROBES
    log[last + 1].how = (log[last].kind == RELEASED && log[last].owner != w[q].owner && since < WAIT -> LET_GO : 0)
#else
    skip
#endif
  fi
}

/* The key has another revision now. */
inline refuse(q) {
  if
  :: w[q].net == SENT && !BLIND(q) ->
    if
    :: (q) % 2 == 1 -> settle(q)
    :: else -> w[q].net = REFUSED
    fi
  :: else
  fi
}

/* A compare-and-set is applied, some time after it was sent. */
inline arrive(q) {
  if
  :: w[q].kind == ACQUIRE -> judge_takeover(q)
  :: else
  fi;
  last++;
  log[last].kind = (w[q].kind == RELEASE -> RELEASED : RECORD);
  log[last].owner = w[q].owner;
  log[last].token = w[q].token;
  log[last].session = w[q].session;
  assert(w[q].kind != ACQUIRE || w[q].token <= last);  /* epochs.ts: the revision bounds the epoch */
  since = 0;
  if
  :: (q) % 2 == 1 && !w[q].known -> settle(q)
  :: else -> w[q].net = APPLIED; w[q].rev = last
  fi;
  refuse(0); refuse(1); refuse(2); refuse(3);
#if NODES > 2
  refuse(4); refuse(5)
#endif
}

/* ------------------------------------------------------------------------------------------------ answers */
/* onWritten, `applied`: onAcquired, confirm and resume, onReleaseOutcome, onOrphanDropped */
inline on_applied(i) {
  if
  :: FLYING(i).kind == RELEASE ->
    note_release(i);
    if
    :: role[i] == DRAINING -> end_drain(i)
    :: else
#ifdef PROBE_ORPHAN_DROPPED
      -> assert(false)
#endif
    fi
  :: FLYING(i).kind == ACQUIRE && FLYING(i).known && role[i] == CAMPAIGNING ->
    if
#ifdef BUG_ADOPT_REPLACED
    :: MAY_ADOPT(i, i * 2) -> become(i, i * 2)
#else
    :: FLYING(i).rev >= seen[i] && MAY_ADOPT(i, i * 2) -> become(i, i * 2)
#endif
    :: else -> role[i] = FOLLOWER
    fi
  :: FLYING(i).kind != RELEASE && FLYING(i).known && IN_TERM(i) ->
    confirm(i, i * 2);
    if
#ifdef BUG_ANY_RENEWAL_RESUMES
    :: role[i] == SUSPENDED && connected[i] ->
#else
    :: role[i] == SUSPENDED && connected[i] && FLYING(i).session == conn[i] ->
#endif
      role[i] = LEADER;
#ifdef PROBE_RESUME
      assert(false)
#endif
    :: else
    fi
  :: else
  fi;
  settle(i * 2);
  end_hopeless_drain(i)
}

/* onWritten, `conflict`: onRefused, onRenewalOutcome, onReleaseOutcome, onOrphanDropped */
inline on_conflict(i) {
  if
  :: FLYING(i).kind == ACQUIRE && FLYING(i).known && role[i] == CAMPAIGNING -> role[i] = FOLLOWER
  :: else
  fi;
  settle(i * 2);
  end_hopeless_drain(i)
}

inline stray(i) {
  STRAY(i).net = FLYING(i).net; STRAY(i).kind = FLYING(i).kind;
  STRAY(i).owner = FLYING(i).owner; STRAY(i).token = FLYING(i).token; STRAY(i).session = FLYING(i).session;
  STRAY(i).rev = FLYING(i).rev; STRAY(i).left = (FLYING(i).known -> FLYING(i).left : 0);
  STRAY(i).known = FLYING(i).known
}

/* onWritten, `unknown`: it may be applied, now or later; campaigning goes on until a read. */
inline on_unknown(i) {
#ifdef BUG_UNKNOWN_RENEWAL_BELIEVED
  if
  :: FLYING(i).kind == RENEW && FLYING(i).known && IN_TERM(i) -> count_from(i, i * 2)
  :: else
  fi;
#endif
#ifdef BUG_UNKNOWN_RELEASE_TAKEN_BACK
  if
  :: FLYING(i).kind == RELEASE && role[i] == DRAINING -> role[i] = LEADER
  :: else
  fi;
#endif
  if
  :: STRAY(i).net == FREE && (FLYING(i).net == SENT || (FLYING(i).net == APPLIED && FLYING(i).known)) -> stray(i)
  :: else
  fi;
  settle(i * 2);
  end_hopeless_drain(i)
}

/* endCampaign */
inline give_up(i) {
  if
  :: role[i] == CAMPAIGNING && IDLE(i) -> role[i] = FOLLOWER
  :: else
  fi
}

/* onGarbage: no other node can have replaced a leader, only one that is suspended or drains. */
#ifdef BUG_SUSPENDED_REPLACES_GARBAGE
#define OVER_GARBAGE(i, r) (log[r].kind == RUBBISH && role[i] != DRAINING)
#else
#define OVER_GARBAGE(i, r) (log[r].kind == RUBBISH && role[i] == LEADER)
#endif
/* The epoch of the running term. */
#define TERM_EPOCH(i) (VIEW(i).kind == RUBBISH -> high[i] : VIEW(i).token)

/* onRead with the entry of revision r: observeSnapshot, judgeTerm, settleOrphan, endCampaign */
inline on_read(i, r) {
  if
#ifdef BUG_OLD_ANSWERS_BELIEVED
  :: r != seen[i] -> observe(i, r)
#else
  :: r > seen[i] -> observe(i, r)
#endif
  :: else
  fi;
  if
  :: IN_TERM(i) && MINE(i, r) ->
    if
    :: FLYING(i).known && FLYING(i).net == APPLIED && FLYING(i).rev == r -> confirm(i, i * 2)
    :: STRAY(i).known && STRAY(i).net == APPLIED && STRAY(i).rev == r ->
#ifdef PROBE_LATE_RENEWAL
      assert(false);
#endif
      confirm(i, i * 2 + 1)
    :: else
    fi
  :: IN_TERM(i) && OVER_GARBAGE(i, r)  /* onGarbage: the next renewal replaces it */
  :: IN_TERM(i) && !MINE(i, r) && !OVER_GARBAGE(i, r) -> lose(i)
  :: !IN_TERM(i) ->
    if
    :: MINE(i, r) && FLYING(i).net == APPLIED && FLYING(i).rev == r && MAY_ADOPT(i, i * 2) -> become(i, i * 2)
    :: MINE(i, r) && STRAY(i).net == APPLIED && STRAY(i).rev == r && MAY_ADOPT(i, i * 2 + 1) -> become(i, i * 2 + 1)
    :: else -> give_up(i)
    fi
  fi;
  end_hopeless_drain(i)
}

/* What a read may show: never less than was seen (isStale), otherwise any revision since: an answer may be delayed, or come from a
   stream leader that has lost its quorum. */
#define READABLE(i, r) (RUNS(i) && LOOKED(i) && connected[i] && r <= last && \
  (r > seen[i] || (r == seen[i] && !IN_TERM(i) && (role[i] == CAMPAIGNING || MINE(i, r)))))
/* A forged hint may say anything, and changes nothing: a read comes at any moment anyway. An epoch that it may name: */
#define FORGED (REVISIONS + 2)

/* Freshness.afterCheck: after a pause an answer is handled once the sockets were checked. */
#ifdef BUG_ANSWER_BEFORE_LOOK
#define LOOKED(i) 1
#else
#define LOOKED(i) (fresh[i] || !DEPENDS(i))
#endif

/* ------------------------------------------------------------------------------------------------ one node and its network */
proctype Node(byte i) {
  byte r;
  do
  /* ---- act.ts sendDueWrite */
  :: d_step { /* campaign, campaignAtMono */
      RUNS(i) && role[i] == FOLLOWER && IDLE(i) && connected[i] && willing[i] && wait[i] == 0 && last < REVISIONS ->
      FLYING(i).token = NEXT_EPOCH(i); send(i, ACQUIRE); role[i] = CAMPAIGNING; rest(i)
    }
  :: d_step { /* renew */
      RUNS(i) && IN_TERM(i) && IDLE(i) && connected[i] && !drained[i] && last < REVISIONS &&
        (left[i] < SPAN || role[i] == SUSPENDED || (PRESENCE && VIEW(i).session != conn[i])) ->
      FLYING(i).token = TERM_EPOCH(i); send(i, RENEW); rest(i)
    }
  :: d_step { /* release */
#ifdef BUG_RELEASE_BEFORE_WORK_STOPS
      RUNS(i) && role[i] == DRAINING && IDLE(i) && connected[i] && last < REVISIONS ->
#else
      RUNS(i) && role[i] == DRAINING && IDLE(i) && connected[i] && drained[i] && last < REVISIONS ->
#endif
      FLYING(i).token = TERM_EPOCH(i); send(i, RELEASE); log[seen[i]].asked = 1; rest(i)
    }
  :: d_step { /* dropOrphan */
      RUNS(i) && role[i] == FOLLOWER && IDLE(i) && connected[i] && !willing[i] && MINE(i, seen[i]) && last < REVISIONS ->
#ifndef BUG_ORPHAN_LED_AFTER_DELETE
      forget_all(i);
#endif
      FLYING(i).token = VIEW(i).token; send(i, RELEASE); log[seen[i]].asked = 1; rest(i)
    }

  /* ---- outcomes of the write in flight */
  :: d_step { /* onWritten: applied */
      RUNS(i) && LOOKED(i) && connected[i] && FLYING(i).net == APPLIED -> on_applied(i); rest(i)
    }
  :: d_step { /* onWritten: conflict */
      RUNS(i) && LOOKED(i) && connected[i] && FLYING(i).net == REFUSED -> on_conflict(i); rest(i)
    }
  :: d_step { /* onWritten: unknown, a timeout */
      RUNS(i) && LOOKED(i) && FLYING(i).net != FREE -> on_unknown(i); rest(i)
    }

  /* ---- answers of any age, and hints */
  :: atomic { /* onRead */
      if
      :: READABLE(i, seen[i]) -> r = seen[i]
      :: READABLE(i, seen[i] + 1) -> r = seen[i] + 1
      :: READABLE(i, seen[i] + 2) -> r = seen[i] + 2
      :: READABLE(i, seen[i] + 3) -> r = seen[i] + 3
      :: READABLE(i, seen[i] + 4) -> r = seen[i] + 4
      :: READABLE(i, seen[i] + 5) -> r = seen[i] + 5
#ifdef BUG_OLD_ANSWERS_BELIEVED
      :: RUNS(i) && LOOKED(i) && connected[i] && !IN_TERM(i) && seen[i] > 1 -> r = seen[i] - 1
#endif
      fi;
      d_step { on_read(i, r); r = 0; rest(i) }
    }
#ifdef BUG_HINT_ENDS_WAIT
  :: d_step { /* onWatched */
      RUNS(i) && connected[i] && !IN_TERM(i) && wait[i] > 0 -> wait[i] = 0; rest(i)
    }
#elif defined(BUG_HINT_RAISES_EPOCH)
  :: d_step { /* onWatched */
      RUNS(i) && connected[i] && !IN_TERM(i) && high[i] == 1 -> high[i] = FORGED; rest(i)
    }
#endif
  :: d_step { /* onRead: an answer that shows less than was seen, endCampaign */
      RUNS(i) && LOOKED(i) && connected[i] && role[i] == CAMPAIGNING && IDLE(i) -> give_up(i); rest(i)
    }

  /* ---- presence */
#if PRESENCE
  :: d_step { /* onAnswered: the connection is closed */
      RUNS(i) && connected[i] && FOREIGN(i, seen[i]) && (wait[i] > 0 || gone[i] != VIEW(i).session) &&
#ifdef BUG_WRONG_DEATH
        (CLOSED(VIEW(i).session) || conn[(VIEW(i).session - 1) % NODES] > NODES) ->
#elif defined(BUG_SUSPICION_IS_ENOUGH)
        true ->
#else
        CLOSED(VIEW(i).session) ->
#endif
      wait[i] = 0; gone[i] = VIEW(i).session; rest(i)
    }
  :: d_step { /* Freshness: a check, after a full turn of the loop */
      RUNS(i) && connected[i] && up[i] && !fresh[i] && DEPENDS(i) -> fresh[i] = 1; rest(i)
    }
#endif
  :: d_step { /* onDisconnected: the loop has turned since the process was thawed */
      RUNS(i) && connected[i] && !up[i] -> disconnected_event(i); rest(i)
    }
  :: d_step { /* onConnected */
      RUNS(i) && !connected[i] && !up[i] ->
      up[i] = 1; connected[i] = 1; conn[i] = conn[i] + (PRESENCE -> NODES : 0);
      if
      :: DEPENDS(i) -> fresh[i] = 1
      :: else
      fi;
      rest(i)
    }

  /* ---- step-downs */
  :: d_step { /* drain: stepDown, stop, setCompeting(false) */
      RUNS(i) && willing[i] && drains < DRAINS ->
      drains++; willing[i] = 0;
      if
      :: role[i] == LEADER || role[i] == SUSPENDED ->
        calm[i] = (role[i] == LEADER && (!PRESENCE || fresh[i])); role[i] = DRAINING; drained[i] = 0
      :: else
      fi;
      rest(i)
    }
  :: d_step { /* setCompeting(true), or the cooldown is over */
      RUNS(i) && !willing[i] && !IN_TERM(i) -> willing[i] = 1; rest(i)
    }
  :: d_step { /* onDrained: work has stopped */
      RUNS(i) && role[i] == DRAINING && !drained[i] -> drained[i] = 1; calm[i] = 0; end_hopeless_drain(i); rest(i)
    }

  /* ---- faults of connection and process */
  :: d_step { /* the socket closes; a running process handles that before any other node can act on it */
      proc[i] != DEAD && up[i] && cuts < CUTS ->
      cuts++; up[i] = 0;
      if
      :: proc[i] == AWAKE && connected[i] -> disconnected_event(i)
      :: else
      fi;
      rest(i)
    }
  :: d_step { /* the process is frozen */
      RUNS(i) && freezes < FREEZES ->
      freezes++; proc[i] = FROZEN; fresh[i] = 0; calm[i] = (PRESENCE -> 0 : calm[i]); rest(i)
    }
  :: d_step { /* the process is thawed */
      proc[i] == FROZEN -> proc[i] = AWAKE; rest(i);
#ifdef PROBE_THAWED_TOO_LATE
      assert(!(role[i] == LEADER && left[i] > 0 && (HELD(1 - i))))
#endif
    }
  :: d_step { /* kill -9: writes that were sent stay on their way */
      proc[i] != DEAD && crashes < CRASHES ->
      crashes++; proc[i] = DEAD;
      up[i] = 0; connected[i] = 0; role[i] = FOLLOWER; willing[i] = 0; seen[i] = 0; high[i] = 0; wait[i] = 0; gone[i] = 0;
      forget(i * 2); forget(i * 2 + 1);
      if
      :: FLYING(i).net == SENT && STRAY(i).net == FREE -> stray(i)
      :: else
      fi;
      settle(i * 2);
      rest(i)
    }
  :: d_step { /* restarted: initialState, another incarnation without memory */
      proc[i] == DEAD ->
      proc[i] = AWAKE; willing[i] = 1; up[i] = 1; connected[i] = 1;
      me[i] = me[i] + NODES; conn[i] = conn[i] + (PRESENCE -> NODES : 0); rest(i)
    }

  /* ---- the network: what was sent arrives now, later or never */
  :: d_step { /* the server applies the write in flight */
      FLYING(i).net == SENT && last < REVISIONS -> arrive(i * 2)
    }
  :: d_step { /* the server applies a write that was given up */
      STRAY(i).net == SENT && last < REVISIONS ->
#ifdef PROBE_APPLIED_LATE
      assert(false);
#endif
      arrive(i * 2 + 1)
    }
  :: d_step { /* a write that was given up never arrives */
      STRAY(i).net == SENT -> settle(i * 2 + 1)
    }
  od
}

/* ------------------------------------------------------------------------------------------------ time */
inline age(q) {
  if
  :: w[q].left > 0 ->
    w[q].left--;
#ifndef BUG_ADOPT_LATE
    /* Too old to be adopted (mayAdopt): the same as forgotten. */
    if
    :: w[q].left == 0 && (q) % 2 == 1 -> forget(q)
    :: else
    fi
#endif
  :: else
  fi
}

/* expire, and the clocks of writes and waits, of node i */
inline pass(i) {
  if
  :: left[i] > 0 ->
    left[i]--;
    if
    :: left[i] == 0 -> lose(i)
    :: else
    fi
  :: else
  fi;
  if
  :: wait[i] > 0 -> wait[i]--
  :: else
  fi;
  age(i * 2);
  age(i * 2 + 1)
}

inline tick(first) {
  if
  :: since < WAIT -> since++
  :: else
  fi;
  if
  :: first == 0 -> pass(0); rest(0)
  :: else
  fi;
  pass(1); rest(1);
#if NODES > 2
  pass(2); rest(2)
#endif
}

/* A running process has the outcome, or its timeout, within DELAY ticks: requestTimeoutMs. */
#define HEARD(i) (!RUNS(i) || IDLE(i) || FLYING(i).left > SPAN - DELAY)
#if NODES > 2
#define PROMPT (HEARD(0) && HEARD(1) && HEARD(2))
#else
#define PROMPT (HEARD(0) && HEARD(1))
#endif

proctype Time() {
  do
  :: d_step { /* a tick */
      PROMPT -> tick(0); if :: slip > 0 -> slip-- :: else fi
    }
  :: d_step { /* a tick that the slow clock misses */
      PROMPT && slip == 0 -> tick(1); slip = SLIP_EVERY - 1
    }
#if GARBAGE > 0
  :: d_step { /* an operator overwrites the key with garbage */
      rubbish < GARBAGE && last < REVISIONS -> rubbish++; last++; log[last].kind = RUBBISH; since = 0;
      refuse(0); refuse(1); refuse(2); refuse(3);
#if NODES > 2
      refuse(4); refuse(5)
#endif
    }
#endif
  od
}

init {
  d_step {
    byte k = 0;
    do
    :: k < NODES -> me[k] = k + 1; conn[k] = k + 1; up[k] = 1; connected[k] = 1; willing[k] = 1; k++
    :: else -> break
    od;
    k = 0
  }
  atomic {
    run Node(0);
    run Node(1);
#if NODES > 2
    run Node(2);
#endif
    run Time()
  }
}
