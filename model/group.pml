/*
 * The sessions and resources of a group: src/group/core, with writes that are lost or late, connections that end, processes that
 * crash and restart, and operators that purge.
 *
 * One resource, two members, or one member with two processes (TWINS). Every step is one atomic option of a loop; group.md maps them to
 * the code. Time is abstract: `passed[id]` is the newest revision of session `id` whose deadline has passed by the clock of its holder
 * and has been waited out by all others. It may move at any moment. A session whose newest revision has passed, or whose connection is
 * closed, may be fenced at that revision by any member at any time.
 *
 * ONLY_OVERLAP leaves out the assertions on single writes and terms: a broken variant has to make two members held at once.
 */

/* ------------------------------------------------------------------------------------------------ bounds */
/* Messages of the stream. */
#ifndef REVISIONS
#define REVISIONS 7
#endif
/* 1: both processes have the same member id. */
#ifndef TWINS
#define TWINS 0
#endif
/* crashDetection: 1 presence, 0 lease */
#ifndef PRESENCE
#define PRESENCE 0
#endif
/* How often a deadline passes. */
#ifndef EXPIRIES
#define EXPIRIES 9
#endif
/* Answers lost and writes given up; connections lost; processes killed; drains; departures; purges: of all processes together. */
#ifndef LOST
#define LOST 0
#endif
#ifndef CUTS
#define CUTS 0
#endif
#ifndef CRASHES
#define CRASHES 0
#endif
#ifndef DRAINS
#define DRAINS 0
#endif
#ifndef LEAVES
#define LEAVES 0
#endif
#ifndef PURGES
#define PURGES 0
#endif

#define ID(i) (TWINS -> 0 : i)

/* ------------------------------------------------------------------------------------------------ the bucket */
#define NOTHING 0
/* a session's key */
#define LIVE 1
#define OVER 2
/* the resource's key */
#define CLAIMED 1
#define RELEASED 2

typedef SessionKey {
  byte kind;
  byte rev;
  byte number;
  byte inc;      /* process + 1 while that incarnation runs; 0: a dead one */
  byte conn;     /* process + 1 while that connection is open; 0: a closed one */
  bit outdated;  /* ghost: an earlier revision of this session named a connection that has closed */
};
SessionKey s[2];

typedef OwnerKey {
  byte kind;
  byte rev;
  byte id;
  byte session;
  byte inc;
  byte nonce;
  byte epoch;
};
OwnerKey o;
OwnerKey before;  /* what a stale answer shows */

byte seq;
byte passed[2];
byte reused[2];   /* ghost of a variant: the number of an ended session */
byte largest;     /* ghost: the largest epoch of a term that has begun */

/* ------------------------------------------------------------------------------------------------ a process */
bit alive[2];
bit up[2];
byte session[2];   /* the own session's number; 0: none */
byte rev[2];       /* of its newest applied renewal */
bit bound[2];      /* that renewal names the present connection */
byte ended[2];     /* the largest number of an own session that has ended */
byte begun[2];     /* the largest revision that a begin of its own expected */
/* term */
#define NONE 0
#define HOLDS 1
#define DRAINS_ 2
#define DRAINED 3
byte term[2];
byte termRev[2];
byte termSession[2];
byte adopt[2];     /* nonce of the newest claim whose outcome is not known */

/* ------------------------------------------------------------------------------------------------ writes under way */
#define BEGIN 1
#define RENEW 2
#define LEAVE 3
#define CLAIM 4
#define RELEASE 5
#define FENCE 6

typedef Write {
  byte kind;     /* 0: none */
  byte key;      /* of a session write: whose */
  byte expect;
  byte number;   /* of the session */
  byte who;      /* process + 1 while that incarnation runs */
  byte conn;     /* process + 1 while that connection is open */
  byte nonce;
  byte epoch;
};
/* Of each process: on the own session, on the resource, both awaited; a fence, awaited in some variants, otherwise sent and applied in
   one step. LATE was given up, and is on its way. */
#define SW(i) (i)
#define OW(i) (2 + (i))
#define FW(i) (4 + (i))
#define LATE_ 6
Write w[7];

byte lost = LOST;
byte cuts = CUTS;
byte crashes = CRASHES;
byte drains = DRAINS;
byte leaves = LEAVES;
byte purges = PURGES;
byte expiries = EXPIRIES;
/* Scratch: 0 between two steps. */
bit ok;
byte k;
byte shown_rev;
byte shown_epoch;

/* ------------------------------------------------------------------------------------------------ words */
#define IS_OVER(d, n) (s[d].number > (n) || (s[d].number == (n) && s[d].kind == OVER))

#ifdef BUG_HELD_WITHOUT_DEADLINE
#define IN_TIME(i) (1)
#else
#define IN_TIME(i) (rev[i] > passed[ID(i)])
#endif
#ifdef BUG_RESUMED_BY_RECONNECT
#define CONNECTED(i) (!PRESENCE || up[i])
#else
#define CONNECTED(i) (!PRESENCE || (up[i] && bound[i]))
#endif
/* isSessionHeld */
#define SESSION_HELD(i) (alive[i] && session[i] != 0 && IN_TIME(i) && CONNECTED(i))
/* Held, or draining in good order. */
#define ACTS(i) ((term[i] == HOLDS || term[i] == DRAINS_) && SESSION_HELD(i))
/* isHeld */
#define HELD(i) (term[i] == HOLDS && SESSION_HELD(i))
#define OPEN(i) (alive[i] && up[i])
/* The session goes on by its own clock. */
#define GOES_ON(i) (session[i] != 0 && IN_TIME(i))
/* Anything that shows that its connection is closed, or that its time is over. */
#define EVIDENCE(d) (s[d].rev <= passed[d] || (PRESENCE && s[d].conn == 0))
#define MINE(i) (o.kind == CLAIMED && o.id == ID(i) && o.session == session[i])

inline check_one(i) {
  if
  :: HELD(i) ->
    assert(!IS_OVER(ID(i), termSession[i]));                              /* held although its session is over */
    assert(o.kind == CLAIMED && o.id == ID(i) && o.rev == termRev[i])     /* held without its key */
  :: else
  fi
}

/* The end of every step. */
inline check() {
  assert(!(ACTS(0) && ACTS(1)));  /* two members are held at once */
#ifndef ONLY_OVERLAP
  check_one(0);
  check_one(1);
#endif
  ok = 0;
  k = 0
}

inline clear(q) {
  w[q].kind = 0; w[q].key = 0; w[q].expect = 0; w[q].number = 0; w[q].who = 0; w[q].conn = 0; w[q].nonce = 0; w[q].epoch = 0
}

inline end_term(i) { term[i] = NONE; termRev[i] = 0; termSession[i] = 0 }

/* endSession */
inline end_session(i) {
  ended[i] = (session[i] > ended[i] -> session[i] : ended[i]);
#ifndef BUG_NUMBER_REUSED
  session[i] = 0;
#else
  reused[ID(i)] = session[i];
  session[i] = 0;
#endif
  rev[i] = 0; bound[i] = 0; adopt[i] = 0;
#ifndef BUG_TABLE_KEPT
  end_term(i)
#endif
}

/* expire: comes first in every step, before an event that arrived late is believed */
inline expire(i) {
  if
  :: session[i] != 0 && !IN_TIME(i) -> end_session(i)
  :: else
  fi
}

/* The session that the key shows. */
inline begin_session(i) {
  session[i] = s[ID(i)].number; rev[i] = s[ID(i)].rev; bound[i] = (s[ID(i)].conn == i + 1);
#ifdef BUG_TABLE_KEPT
  if
  :: term[i] != NONE -> termSession[i] = session[i]
  :: else
  fi
#endif
}

/* beginTerm */
inline begin_term(i) {
  term[i] = HOLDS; termRev[i] = shown_rev; termSession[i] = session[i]; adopt[i] = 0;
  assert(shown_epoch > largest);  /* an epoch does not increase */
  largest = shown_epoch;
  shown_rev = 0; shown_epoch = 0
}
inline show_newest() { shown_rev = o.rev; shown_epoch = o.epoch }
inline show_before() { shown_rev = before.rev; shown_epoch = before.epoch }
#ifdef BUG_TERM_WHILE_SUSPENDED
#define MAY_BEGIN(i) (session[i] != 0)
#else
#define MAY_BEGIN(i) (SESSION_HELD(i))
#endif

/* ------------------------------------------------------------------------------------------------ the server */
#ifdef BUG_RENEWAL_NOT_COMPARED
#define MEETS_SESSION(q) (w[q].kind == RENEW || s[w[q].key].rev == w[q].expect)
#else
#ifdef BUG_FENCE_NOT_COMPARED
#define MEETS_SESSION(q) ((w[q].kind == FENCE && s[w[q].key].kind == LIVE) || s[w[q].key].rev == w[q].expect)
#else
#define MEETS_SESSION(q) (s[w[q].key].rev == w[q].expect)
#endif
#endif
#ifdef BUG_CLAIM_NOT_COMPARED
#define MEETS_OWNER(q) (w[q].kind == CLAIM || o.rev == w[q].expect)
#else
#ifdef BUG_RELEASE_NOT_COMPARED
#define MEETS_OWNER(q) ((w[q].kind == RELEASE && o.kind == CLAIMED) || o.rev == w[q].expect)
#else
#define MEETS_OWNER(q) (o.rev == w[q].expect)
#endif
#endif
/* A write that would be applied beyond the bound is not: the search ends there. */
#define HAS_ROOM(q) (seq < REVISIONS || (w[q].kind < CLAIM && !MEETS_SESSION(q)) || (w[q].kind == FENCE && !MEETS_SESSION(q)) || (w[q].kind == CLAIM && !MEETS_OWNER(q)) || (w[q].kind == RELEASE && !MEETS_OWNER(q)))

inline apply_session(q) {
  ok = 0;
  if
  :: MEETS_SESSION(q) ->
    ok = 1;
    seq++;
    k = w[q].key;
    if
    :: w[q].kind == BEGIN ->
#ifdef BUG_NUMBER_REUSED
      s[k].number = (w[q].number != 0 -> w[q].number : seq);
#else
      s[k].number = seq;
#endif
      s[k].kind = LIVE; s[k].inc = w[q].who; s[k].conn = w[q].conn; s[k].outdated = 0
    :: w[q].kind == RENEW ->
      s[k].number = w[q].number; s[k].kind = LIVE; s[k].inc = w[q].who;
      s[k].outdated = (s[k].outdated || s[k].conn == 0);
      s[k].conn = w[q].conn
    :: w[q].kind == LEAVE -> s[k].number = w[q].number; s[k].kind = OVER; s[k].inc = 0; s[k].conn = 0; s[k].outdated = 0
    :: w[q].kind == FENCE -> s[k].kind = OVER; s[k].inc = 0; s[k].conn = 0; s[k].outdated = 0
    fi;
    s[k].rev = seq
  :: else
  fi
}

inline keep_before() {
  before.kind = o.kind; before.rev = o.rev; before.id = o.id; before.session = o.session;
  before.inc = o.inc; before.nonce = o.nonce; before.epoch = o.epoch
}

inline apply_owner(q) {
  ok = 0;
  if
  :: MEETS_OWNER(q) ->
    ok = 1;
    seq++;
    keep_before();
    if
    :: w[q].kind == CLAIM ->
#ifndef ONLY_OVERLAP
      /* a claim replaces the claim of a session that is not over */
      assert(o.kind != CLAIMED || (o.id == w[q].key && o.session == w[q].number) || IS_OVER(o.id, o.session));
#endif
      o.kind = CLAIMED; o.id = w[q].key; o.session = w[q].number; o.inc = w[q].who; o.nonce = w[q].nonce;
#ifdef BUG_EPOCH_COUNTED
      o.epoch = w[q].epoch;
#else
      o.epoch = seq;
#endif
    :: else ->
#ifndef ONLY_OVERLAP
      /* a release removes the claim of another session */
      assert(o.kind != CLAIMED || (o.id == w[q].key && o.session == w[q].number));
#endif
      o.kind = RELEASED; o.id = w[q].key; o.session = w[q].number; o.inc = 0; o.nonce = 0
    fi;
    o.rev = seq
  :: else
  fi
}

/* A write that is given up: on its way, or lost if another one is on its way already. */
inline give_up(q) {
  if
  :: w[LATE_].kind == 0 ->
    w[LATE_].kind = w[q].kind; w[LATE_].key = w[q].key; w[LATE_].expect = w[q].expect; w[LATE_].number = w[q].number;
    w[LATE_].who = w[q].who; w[LATE_].conn = w[q].conn; w[LATE_].nonce = w[q].nonce; w[LATE_].epoch = w[q].epoch
  :: else
  fi;
  clear(q)
}

inline forget_conn(i) {
  for (k : 0 .. 1) {
    if
    :: s[k].conn == i + 1 -> s[k].conn = 0
    :: else
    fi
  }
  w[SW(i)].conn = 0;
  bound[i] = 0;
  if
  :: w[LATE_].conn == i + 1 -> w[LATE_].conn = 0
  :: else
  fi
}

inline forget_incarnation(i) {
  for (k : 0 .. 1) {
    if
    :: s[k].inc == i + 1 -> s[k].inc = 0
    :: else
    fi
  }
  if
  :: o.inc == i + 1 -> o.inc = 0; o.nonce = 0
  :: else
  fi;
  if
  :: before.inc == i + 1 -> before.inc = 0; before.nonce = 0
  :: else
  fi;
  if
  :: w[LATE_].who == i + 1 -> w[LATE_].who = 0; w[LATE_].nonce = 0
  :: else
  fi
}

/* The smallest number that no claim of this incarnation has. */
inline next_nonce(i) {
  k = 1 + adopt[i];
  if
  :: o.inc == i + 1 && o.nonce >= k -> k = o.nonce + 1
  :: else
  fi;
  if
  :: before.inc == i + 1 && before.nonce >= k -> k = before.nonce + 1
  :: else
  fi;
  if
  :: w[LATE_].kind == CLAIM && w[LATE_].who == i + 1 && w[LATE_].nonce >= k -> k = w[LATE_].nonce + 1
  :: else
  fi
}

inline send_claim(i) {
  end_term(i);
  next_nonce(i);
  adopt[i] = k;
  w[OW(i)].kind = CLAIM; w[OW(i)].key = ID(i); w[OW(i)].expect = o.rev; w[OW(i)].number = session[i];
  w[OW(i)].who = i + 1; w[OW(i)].nonce = k;
#ifdef BUG_EPOCH_COUNTED
  w[OW(i)].epoch = (o.kind == NOTHING -> 1 : o.epoch + 1)
#endif
}

#ifdef BUG_NEXT_DOES_NOT_WAIT
#define MAY_BEGIN_SESSION(i) (1)
#else
#define MAY_BEGIN_SESSION(i) (s[ID(i)].kind != LIVE || s[ID(i)].inc == i + 1 || EVIDENCE(ID(i)))
#endif
/* No claim or release is in flight, no term runs, and the session goes on. */
#define MAY_WRITE(i) (OPEN(i) && GOES_ON(i) && w[OW(i)].kind == 0 && term[i] != HOLDS && term[i] != DRAINS_)
/* freeAtMono */
#define FREE (o.kind != CLAIMED || IS_OVER(o.id, o.session))
#ifdef BUG_ADOPTED_TWICE
#define IS_ADOPTABLE(i, e) (e.kind == CLAIMED && e.id == ID(i) && e.session == session[i] && e.inc == i + 1)
#else
#define IS_ADOPTABLE(i, e) (e.kind == CLAIMED && e.id == ID(i) && e.session == session[i] && e.inc == i + 1 && adopt[i] != 0 && e.nonce == adopt[i])
#endif
#ifdef BUG_ACK_OF_OLD_SESSION
#define IS_OF_SESSION(i) (session[i] != 0)
#else
#define IS_OF_SESSION(i) (session[i] != 0 && session[i] == w[OW(i)].number)
#endif

#ifdef BUG_LEFT_BEFORE_WORK_ENDED
#define MAY_LEAVE(i) (1)
#else
#define MAY_LEAVE(i) (term[i] != HOLDS && term[i] != DRAINS_ && w[OW(i)].kind == 0)
#endif
/* No begin of its own expects this revision. */
#ifdef BUG_BEGIN_ADOPTED
#define IS_ALONE(i) (1)
#else
#define IS_ALONE(i) (s[ID(i)].rev > begun[i])
#endif
#define MAY_FENCE(d) EVIDENCE(d)
#ifdef BUG_FENCE_ON_SUSPICION
#undef MAY_FENCE
#define MAY_FENCE(d) (1)
#endif
#ifdef BUG_EVIDENCE_OF_OLDER_REVISION
#undef MAY_FENCE
#define MAY_FENCE(d) (EVIDENCE(d) || s[d].outdated)
#endif
/* What else a broken variant takes for free. */
#define TAKES(i) (0)
#ifdef BUG_CLAIM_WITHOUT_FENCE
#undef TAKES
#define TAKES(i) (passed[o.id] >= o.session || (s[o.id].kind == LIVE && s[o.id].number == o.session && s[o.id].rev > o.session) || (PRESENCE && s[o.id].conn == 0))
#endif
#ifdef BUG_PLAN_TRUSTED
#undef TAKES
#define TAKES(i) (1)
#endif
#ifdef BUG_OVER_BY_INEQUALITY
/* By a view of the session that is older than the claim. */
#undef TAKES
#define TAKES(i) (o.id != ID(i))
#endif
#ifdef BUG_NUMBER_REUSED
/* By the remembered end of a session with this number. */
#undef TAKES
#define TAKES(i) (o.session == reused[o.id])
#endif
#ifdef BUG_TAKEN_ON_DRAIN_TIMEOUT
#undef TAKES
#define TAKES(i) (term[1 - (i)] == DRAINS_)
#endif
#ifdef BUG_FENCE_NOT_AWAITED
#undef TAKES
#define TAKES(i) (w[FW(i)].kind == FENCE && w[FW(i)].key == o.id)
#endif

/* ------------------------------------------------------------------------------------------------ the members */
proctype Member(byte i) {
  /* At the bound nothing may be possible any more. */
end:
  do
  /* ---------------------------------------------------------------- the session */
  :: d_step { /* begin */
      OPEN(i) && session[i] == 0 && w[SW(i)].kind == 0 && MAY_BEGIN_SESSION(i) ->
      begun[i] = s[ID(i)].rev;
      w[SW(i)].kind = BEGIN; w[SW(i)].key = ID(i); w[SW(i)].expect = s[ID(i)].rev; w[SW(i)].who = i + 1; w[SW(i)].conn = i + 1;
#ifdef BUG_NUMBER_REUSED
      w[SW(i)].number = reused[ID(i)];
#endif
      check()
    }
  :: d_step { /* renew */
      OPEN(i) && GOES_ON(i) && w[SW(i)].kind == 0 ->
      w[SW(i)].kind = RENEW; w[SW(i)].key = ID(i); w[SW(i)].expect = rev[i]; w[SW(i)].number = session[i];
      w[SW(i)].who = i + 1; w[SW(i)].conn = i + 1;
      check()
    }
  :: d_step { /* sendEnd */
      leaves > 0 && OPEN(i) && GOES_ON(i) && w[SW(i)].kind == 0 && MAY_LEAVE(i) ->
      leaves--;
      w[SW(i)].kind = LEAVE; w[SW(i)].key = ID(i); w[SW(i)].expect = rev[i]; w[SW(i)].number = session[i]; w[SW(i)].who = i + 1;
#ifndef BUG_LEFT_BEFORE_WORK_ENDED
      end_session(i);
#endif
      check()
    }
  :: d_step { /* onOwnWritten: the server has answered */
      w[SW(i)].kind != 0 && HAS_ROOM(SW(i)) ->
      apply_session(SW(i));
      expire(i);
      if
      :: ok && w[SW(i)].kind == BEGIN && session[i] == 0 && seq > passed[ID(i)] -> begin_session(i)
      :: ok && w[SW(i)].kind == RENEW && session[i] == w[SW(i)].number && session[i] != 0 -> rev[i] = seq; bound[i] = (w[SW(i)].conn == i + 1)
      :: else
      fi;
      clear(SW(i));
      check()
    }
  :: d_step { /* onOwnWritten: unknown, the write is applied and its answer lost */
      lost > 0 && w[SW(i)].kind != 0 && MEETS_SESSION(SW(i)) && seq < REVISIONS ->
      lost--;
      apply_session(SW(i));
      clear(SW(i));
      check()
    }
  :: d_step { /* onOwnWritten: unknown, the write is on its way or lost */
      lost > 0 && w[SW(i)].kind != 0 ->
      lost--;
      give_up(SW(i));
      check()
    }
  :: d_step { /* judgeSession: an answer shows a newer revision of the own session */
      OPEN(i) && w[SW(i)].kind == 0 && session[i] != 0 && s[ID(i)].kind == LIVE && s[ID(i)].number == session[i] && s[ID(i)].rev > rev[i] ->
      expire(i);
      if
      :: session[i] != 0 -> rev[i] = s[ID(i)].rev; bound[i] = (s[ID(i)].conn == i + 1)
      :: else
      fi;
      check()
    }
#ifndef BUG_RENEWAL_NOT_COMPARED
  :: d_step { /* endAsFenced: an answer or a message shows that the own session is over */
      OPEN(i) && session[i] != 0 && s[ID(i)].rev > rev[i] && !(s[ID(i)].kind == LIVE && s[ID(i)].number == session[i]) ->
      end_session(i);
      check()
    }
#endif
  :: d_step { /* adoptBegin */
      OPEN(i) && w[SW(i)].kind == 0 && session[i] == 0 && s[ID(i)].kind == LIVE && s[ID(i)].inc == i + 1 && s[ID(i)].number > ended[i] && s[ID(i)].rev > passed[ID(i)] && IS_ALONE(i) ->
      begin_session(i);
      check()
    }
  :: d_step { /* expire: the deadline of the newest renewal that it knows to be applied has passed */
      alive[i] && session[i] != 0 && (!IN_TIME(i) || s[ID(i)].rev > rev[i]) ->
      end_session(i);
      check()
    }
  /* ---------------------------------------------------------------- the other member's session */
#ifndef BUG_FENCE_NOT_COMPARED
#ifndef BUG_FENCE_NOT_AWAITED
  :: d_step { /* fence: sent against the revision of the evidence, and applied */
      OPEN(i) && s[1 - i].kind == LIVE && ID(i) != 1 - i && seq < REVISIONS && MAY_FENCE(1 - i) ->
      seq++;
      s[1 - i].kind = OVER; s[1 - i].inc = 0; s[1 - i].conn = 0; s[1 - i].outdated = 0; s[1 - i].rev = seq;
      check()
    }
#endif
#endif
#if defined(BUG_FENCE_NOT_COMPARED) || defined(BUG_FENCE_NOT_AWAITED)
  :: d_step { /* fence: sent */
      OPEN(i) && w[FW(i)].kind == 0 && s[1 - i].kind == LIVE && ID(i) != 1 - i && EVIDENCE(1 - i) ->
      w[FW(i)].kind = FENCE; w[FW(i)].key = 1 - i; w[FW(i)].expect = s[1 - i].rev; w[FW(i)].number = s[1 - i].number;
      check()
    }
  :: d_step { /* onFenced */
      w[FW(i)].kind != 0 && HAS_ROOM(FW(i)) ->
      apply_session(FW(i));
      clear(FW(i));
      check()
    }
#endif
  /* ---------------------------------------------------------------- the resource */
  :: d_step { /* sendClaim */
      MAY_WRITE(i) && (FREE || MINE(i) || TAKES(i)) ->
      send_claim(i);
      check()
    }
  :: d_step { /* onClaimWritten: the server has answered */
      w[OW(i)].kind == CLAIM && HAS_ROOM(OW(i)) ->
      apply_owner(OW(i));
      expire(i);
      if
      :: ok && IS_OF_SESSION(i) && term[i] == NONE && MAY_BEGIN(i) -> show_newest(); begin_term(i)
      :: else
      fi;
      adopt[i] = 0;
      clear(OW(i));
      check()
    }
  :: d_step { /* onClaimWritten, onReleaseWritten: unknown, the write is applied and its answer lost */
      lost > 0 && w[OW(i)].kind != 0 && MEETS_OWNER(OW(i)) && seq < REVISIONS ->
      lost--;
      apply_owner(OW(i));
      clear(OW(i));
      check()
    }
  :: d_step { /* onClaimWritten, onReleaseWritten: unknown, the write is on its way or lost */
      lost > 0 && w[OW(i)].kind != 0 ->
      lost--;
      give_up(OW(i));
      check()
    }
  :: d_step { /* settleOwner: an answer shows the own claim */
      MAY_WRITE(i) && term[i] == NONE && IS_ADOPTABLE(i, o) ->
      expire(i);
      if
      :: session[i] != 0 && MAY_BEGIN(i) ->
#ifdef BUG_ADOPTED_TWICE
        term[i] = HOLDS; termRev[i] = o.rev; termSession[i] = session[i]
#else
        show_newest(); begin_term(i)
#endif
      :: else
      fi;
      check()
    }
  :: d_step { /* settleOwner: a stale answer shows the own claim */
      MAY_WRITE(i) && term[i] == NONE && IS_ADOPTABLE(i, before) ->
      expire(i);
      if
      :: session[i] != 0 && MAY_BEGIN(i) ->
#ifdef BUG_ADOPTED_TWICE
        term[i] = HOLDS; termRev[i] = before.rev; termSession[i] = session[i]
#else
        show_before(); begin_term(i)
#endif
      :: else
      fi;
      check()
    }
#ifdef BUG_ADOPTED_BY_MEMBER
  :: d_step { /* settleOwner: the key names the own member id */
      MAY_WRITE(i) && term[i] == NONE && o.kind == CLAIMED && o.id == ID(i) && o.session != session[i] ->
      term[i] = HOLDS; termRev[i] = o.rev; termSession[i] = session[i];
      check()
    }
#endif
  :: d_step { /* sendRelease: of an orphan */
      MAY_WRITE(i) && term[i] == NONE && MINE(i) ->
      adopt[i] = 0;
      w[OW(i)].kind = RELEASE; w[OW(i)].key = ID(i); w[OW(i)].expect = o.rev; w[OW(i)].number = session[i]; w[OW(i)].who = i + 1;
      check()
    }
  :: d_step { /* drain */
      alive[i] && term[i] == HOLDS && drains > 0 ->
      drains--;
      term[i] = DRAINS_;
      check()
    }
  :: d_step { /* onDrained */
      alive[i] && term[i] == DRAINS_ ->
      term[i] = DRAINED;
      check()
    }
  :: d_step { /* sendRelease: of a term whose work has ended */
      OPEN(i) && GOES_ON(i) && term[i] == DRAINED && w[OW(i)].kind == 0 ->
      w[OW(i)].kind = RELEASE; w[OW(i)].key = ID(i); w[OW(i)].expect = termRev[i]; w[OW(i)].number = session[i]; w[OW(i)].who = i + 1;
      check()
    }
#ifdef BUG_HELD_AGAIN
  :: d_step { /* wanted again while its release is not settled */
      alive[i] && term[i] == DRAINED && w[OW(i)].kind == 0 ->
      term[i] = HOLDS;
      check()
    }
#endif
  :: d_step { /* onReleaseWritten: the server has answered */
      w[OW(i)].kind == RELEASE && HAS_ROOM(OW(i)) ->
      apply_owner(OW(i));
      expire(i);
      if
      :: ok || (term[i] == DRAINED && o.rev > termRev[i]) -> end_term(i)
      :: else
      fi;
      clear(OW(i));
      check()
    }
  :: d_step { /* settleOwner: an answer shows that the key is another's */
      OPEN(i) && term[i] == DRAINED && w[OW(i)].kind == 0 && o.rev > termRev[i] ->
      end_term(i);
      check()
    }
  /* ---------------------------------------------------------------- the process and its connection */
  :: d_step { /* the connection closes: onConnectionEnded */
      OPEN(i) && cuts > 0 ->
      cuts--;
      up[i] = 0;
      forget_conn(i);
      check()
    }
  :: d_step { /* the connection is back */
      alive[i] && !up[i] ->
      up[i] = 1;
      check()
    }
  :: d_step { /* kill -9: one write that was sent stays on its way */
      alive[i] && crashes > 0 ->
      crashes--;
      forget_conn(i);
      if
      :: w[OW(i)].kind != 0 -> give_up(OW(i))
      :: else ->
        if
        :: w[SW(i)].kind != 0 -> give_up(SW(i))
        :: else
        fi
      fi;
      forget_incarnation(i);
      clear(SW(i));
      clear(OW(i));
      clear(FW(i));
      alive[i] = 0; up[i] = 0; session[i] = 0; rev[i] = 0; ended[i] = 0; begun[i] = 0; adopt[i] = 0;
      end_term(i);
      check()
    }
  :: d_step { /* restarted: initialState, another incarnation without memory */
      !alive[i] ->
      alive[i] = 1; up[i] = 1;
      check()
    }
  od
}

proctype World() {
end:
  do
  :: d_step { /* the deadline of session 0 has passed and was waited out */
      expiries > 0 && s[0].kind == LIVE && s[0].rev > passed[0] ->
      expiries--;
      passed[0] = s[0].rev;
      check()
    }
  :: d_step { /* the deadline of session 1 has passed and was waited out */
      expiries > 0 && s[1].kind == LIVE && s[1].rev > passed[1] ->
      expiries--;
      passed[1] = s[1].rev;
      check()
    }
  :: d_step { /* the server applies a write that was given up */
      w[LATE_].kind != 0 && HAS_ROOM(LATE_) ->
      if
      :: w[LATE_].kind < CLAIM -> apply_session(LATE_)
      :: else -> apply_owner(LATE_)
      fi;
      clear(LATE_);
      check()
    }
  :: d_step { /* a write that was given up never arrives */
      w[LATE_].kind != 0 ->
      clear(LATE_);
      check()
    }
  :: d_step { /* an operator purges the key of a released resource */
      purges > 0 && o.kind == RELEASED ->
      purges--;
      keep_before();
      o.kind = NOTHING; o.rev = 0; o.id = 0; o.session = 0; o.epoch = 0;
      check()
    }
  od
}

init {
  atomic {
    alive[0] = 1; alive[1] = 1; up[0] = 1; up[1] = 1;
    run Member(0);
    run Member(1);
    run World()
  }
}
