-- include: workers.scripts.prefixes
-- include: notify.server.now
-- include: workers.scripts.needs
-- include: workers.scripts.outcome
-- include: workers.scripts.job_event
-- Included by the scripts that take waiting jobs out of their queues ("-- include: waiting"), after "names", "now", "loss", "outcome",
-- "emit" and "tell"; it is not run by itself. The list of the queue is left to who includes this.
--
-- pair_of(queue, need) -> the end of a key that is about both: the queue without its colons, or nobody could tell where it ends
-- of_waiting() -> a table of the functions below. It is made when it is asked for first: making them all takes longer than most claims.
-- make_waiting() makes it.
-- settle(now): what was done to many is written as for one; to be called last of all, it tells as well
--
-- read(id) -> the fields of a job that count here; what is missing is nil
-- waits(fields) -> whether it has not started
-- names_of(fields) -> the names of what it needs
-- turn_of(fields, now) -> its turn, also of one that RQ itself enqueued
-- in_order(now, row) -> a score for what is added to that row; row_into(rows, at, first, second) adds it
-- join_needs(id, fields, now): put it into the indexes of what it needs; forget(need, id): take it out of one of them, at the end
-- ending_of(reason, now, why, need) -> how a job ends as canceled: its outcome, and what is told of that
-- cancel_one(id, fields, ending, now): it ends so
-- hold_one(id, fields, need, until_ms, now): it is set aside until the need is there, or until_ms; nil for however long it takes
-- unhold(id, fields): it is not held any more
-- fate_of(fields, need, lost_ms, now) -> what a loss does to a job that waits: "cancel", "hold" and until when, or "go on"
-- known_loss_of(fields), lost_ending(fields, need, now, reason): looked up, and written, once for all that need the same
-- judge(id, fields, now, reason) -> "cancelled" or "held" if it has lost what it needs, and was dealt with by its own rule; nil if it
--                                   may run
-- flush(now): the part of settle that is about these
local INDEX_MS = 30 * 86400000

-- As Keys.held writes it.
local function pair_of(queue, need)
  return (string.gsub((string.gsub(queue, '%%', '%%25')), ':', '%%3A')) .. ':' .. need
end

local function make_waiting()
  local FIELDS = {'status', 'needs', 'on_loss', 'origin', 'turn', 'held', 'max_hold_ms', 'grace_ms'}

  local canceled, deferred, aside, left = {}, {}, {}, {} -- rows that are written at the end
  local needed, judged, endings = {}, {}, {} -- what was looked up or written before

  local function row_into(rows, at, first, second)
    local row = rows[at]
    if not row then
      row = {}
      rows[at] = row
    end
    row[#row + 1] = first
    if second then
      row[#row + 1] = second
    end
  end

  -- The seconds as a score, a little more for each: a set in which many have the same one takes several times as long.
  local function in_order(now, row)
    return string.format('%.6f', now / 1000 + #(row or {}) / 1e6)
  end

  local function read(id)
    local values = redis.pcall('HMGET', k.job .. id, unpack(FIELDS)) -- what is no hash has none
    local fields = {}
    for i, name in ipairs(FIELDS) do
      fields[name] = values[i] or nil
    end
    return fields
  end

  local function waits(fields)
    return fields.status == 'queued' or fields.status == 'deferred' or fields.status == 'scheduled'
  end

  local function turn_of(fields, now)
    return text(tonumber(fields.turn or '') or now * 1000)
  end

  -- The names of what a job needs; the same text is read once.
  local function names_of(fields)
    if not fields.needs then return {} end
    local names = needed[fields.needs]
    if not names then
      names = {}
      for need in pairs(needs_of(fields) or {}) do
        names[#names + 1] = need
      end
      needed[fields.needs] = names
    end
    return names
  end

  local function join_needs(id, fields, now)
    for _, need in ipairs(names_of(fields)) do
      redis.call('ZADD', k.needs .. need, turn_of(fields, now), id)
      redis.call('PEXPIRE', k.needs .. need, INDEX_MS)
    end
  end

  local function forget(need, id)
    row_into(left, need, id)
  end

  local function leave_needs(id, fields)
    for _, need in ipairs(names_of(fields)) do
      forget(need, id)
    end
  end

  local function unhold(id, fields)
    redis.call('HDEL', k.job .. id, 'held')
    local held = k.held .. pair_of(fields.origin or '', fields.held)
    redis.call('ZREM', held, id)
    if redis.call('EXISTS', held) == 0 then
      redis.call('SREM', k.held_pairs, cjson.encode({fields.origin or '', fields.held}))
    end
    redis.call('ZREM', k.deferred .. (fields.origin or ''), id)
    redis.call('ZREM', k.holds, id)
  end

  -- How a job ends as canceled: its outcome, and what is told of that.
  local function ending_of(reason, now, why, need)
    local outcome = outcome_of('cancelled', reason, now, why, need)
    return {outcome = outcome, more = ',' .. string.match(outcome, '"reason".*$'):sub(1, -2)}
  end

  local function cancel_one(id, fields, ending, now)
    local origin, job = fields.origin or '', k.job .. id
    redis.call('HSET', job, 'status', 'canceled', 'outcome', ending.outcome, 'ended_at', NOW_AT)
    if fields.held then
      unhold(id, fields)
    elseif fields.status ~= 'queued' then
      redis.call('ZREM', k.deferred .. origin, id)
      redis.call('ZREM', k.scheduled .. origin, id)
    end
    row_into(canceled, origin, in_order(now, canceled[origin]), id)
    redis.call('PEXPIRE', job, k.keep_ms)
    leave_needs(id, fields)
    tell(origin, id, 'cancelled', ending.more)
  end

  local function hold_one(id, fields, need, until_ms, now)
    local origin = fields.origin or ''
    redis.call('HSET', k.job .. id, 'status', 'deferred', 'held', need)
    row_into(deferred, origin, in_order(now, deferred[origin]), id)
    row_into(aside, cjson.encode({origin, need}), turn_of(fields, now), id)
    if until_ms then
      redis.call('ZADD', k.holds, text(until_ms), id)
      redis.call('PEXPIRE', k.holds, INDEX_MS)
    end
    local more = ',"need":' .. cjson.encode(need) .. ',"at_ms":' .. text(now) .. (until_ms and ',"until_ms":' .. text(until_ms) or '')
    tell(origin, id, 'held', more .. ',"why":' .. why_lost(need, 'on_loss=' .. (fields.on_loss or 'cancel'), now))
  end

  -- What a loss does to a job that waits: "cancel", "hold" and until when, or "go on": it is forgiven.
  local function fate_of(fields, need, lost_ms, now)
    local grace_ms = tonumber(fields.grace_ms or '') or 0
    if fields.on_loss ~= 'hold' and grace_ms == 0 then return 'cancel' end
    if is_there(need) then return 'go on' end
    if fields.on_loss == 'hold' then
      local most_ms = tonumber(fields.max_hold_ms or '')
      return 'hold', most_ms and now + most_ms
    end
    local over_ms = (lost_ms or now) + grace_ms
    if over_ms <= now then return 'cancel' end
    return 'hold', over_ms
  end

  -- As loss_of; the same needs are looked up once.
  local function known_loss_of(fields)
    if not fields.needs or fields.on_loss == 'ignore' then return nil end
    local known = judged[fields.needs]
    if not known then
      known = {loss_of(fields)}
      judged[fields.needs] = known
    end
    return known[1], known[2]
  end

  local function lost_ending(fields, need, now, reason)
    local policy = fields.on_loss or 'cancel'
    local known = endings[policy .. need]
    if not known then
      known = ending_of(need .. (reason or ' is gone'), now, why_lost(need, 'on_loss=' .. policy, now), need)
      endings[policy .. need] = known
    end
    return known
  end

  local function judge(id, fields, now, reason)
    local need, lost_ms = known_loss_of(fields)
    while need do
      local fate, until_ms = fate_of(fields, need, lost_ms, now)
      if fate == 'cancel' then
        cancel_one(id, fields, lost_ending(fields, need, now, reason), now)
        return 'cancelled'
      elseif fate == 'hold' then
        hold_one(id, fields, need, until_ms, now)
        return 'held'
      end
      fields.needs = up_to_date(needs_of(fields))
      redis.call('HSET', k.job .. id, 'needs', fields.needs)
      need, lost_ms = known_loss_of(fields)
    end
    return nil
  end

  local function flush(now)
    for origin, rows in pairs(canceled) do
      redis.call('ZADD', k.canceled .. origin, unpack(rows))
      redis.call('ZREMRANGEBYSCORE', k.canceled .. origin, '-inf', text(math.floor((now - k.keep_ms) / 1000)))
    end
    for need, ids in pairs(left) do
      redis.call('ZREM', k.needs .. need, unpack(ids))
    end
    for origin, rows in pairs(deferred) do
      redis.call('ZADD', k.deferred .. origin, unpack(rows))
    end
    for pair, rows in pairs(aside) do
      local names = cjson.decode(pair)
      local key = k.held .. pair_of(names[1], names[2])
      redis.call('SADD', k.held_pairs, pair)
      redis.call('PEXPIRE', k.held_pairs, INDEX_MS)
      redis.call('ZADD', key, unpack(rows))
      redis.call('PEXPIRE', key, INDEX_MS)
    end
    canceled, deferred, aside, left = {}, {}, {}, {}
  end

  return {
    read = read, waits = waits, names_of = names_of, join_needs = join_needs, forget = forget,
    ending_of = ending_of, cancel_one = cancel_one, hold_one = hold_one, unhold = unhold, judge = judge, flush = flush,
  }
end

local waiting
local function of_waiting()
  waiting = waiting or make_waiting()
  return waiting
end

local function settle(now)
  if waiting then
    waiting.flush(now)
  end
  told()
end
