-- include: workers.scripts.prefixes
-- include: notify.server.now
-- include: notify.server.lifetimes
-- include: workers.scripts.needs
-- include: workers.scripts.outcome
-- include: workers.scripts.job_event
-- The transitions of waiting jobs: cancel, hold, release. The list of the queue is left to the script that includes this.
--
-- pair_of(queue, need) -> the end of a key that names both; colons of the queue are escaped, so that the end of its name is clear
-- transitions() -> the table of the functions below. It is made when it is first asked for: making it takes longer than most claims
-- flush_changes(now): writes the batched index changes and publishes the job events. Call it last in every script
--
-- read(id) -> the fields of a job that matter here; a missing field is nil
-- is_waiting(fields) -> whether the job has not started
-- names_of(fields) -> the names of its needs
-- turn_of(fields, now) -> its turn, also of a job that RQ itself enqueued
-- add_row(rows, at, first, second): appends to the row at that key; in_order(now, row) -> a score for what is appended
-- join_needs(id, fields, now): adds the job to the indexes of its needs
-- leave_need(need, id): takes the job out of one of them, when the changes are flushed
-- cancellation_of(reason, now, why, need) -> the outcome of a cancelled job, and the JSON members of it for the event
-- cancel(id, fields, cancellation, now): cancels the job with that outcome and event
-- hold(id, fields, need, until_ms, now): holds the job until the need is there, or until_ms; nil for no limit
-- unhold(id, fields): ends its hold
-- effect_of(fields, need, lost_ms, now) -> the effect of a loss on a waiting job: "cancel", "hold" and until when, or "go on"
-- cached_loss_of(fields), loss_cancellation(fields, need, now, reason): loss_of() and cancellation_of(), once for all jobs alike
-- apply_policy(id, fields, now, reason) -> "cancelled" or "held" if the job has lost a need, by its own policy; nil if it may run
-- flush(now): the part of flush_changes that is about the indexes
local INDEX_MS = MONTH_MS

-- The same as in Keys.held.
local function pair_of(queue, need)
  return (string.gsub((string.gsub(queue, '%%', '%%25')), ':', '%%3A')) .. ':' .. need
end

local function make_transitions()
  local WAITING = {queued = true, deferred = true, scheduled = true, ready_to_enqueue = true, rate_limited = true} -- the last two are RQ 3's
  local FIELDS = {'status', 'needs', 'on_loss', 'origin', 'turn', 'held', 'max_hold_ms', 'grace_ms', 'data', 'description'}

  local canceled, deferred, held_rows, leaving = {}, {}, {}, {} -- rows that are written at the end
  local names_by_needs, loss_by_needs, cancellations = {}, {}, {} -- looked up or written before

  local function add_row(rows, at, first, second)
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

  -- The seconds as a score, a little more for each: a sorted set in which many members have the same score is several times slower.
  local function in_order(now, row)
    return string.format('%.6f', now / 1000 + #(row or {}) / 1e6)
  end

  local function read(id)
    local values = redis.pcall('HMGET', k.job .. id, unpack(FIELDS)) -- a key that is no hash has no fields
    local fields = {}
    for i, name in ipairs(FIELDS) do
      fields[name] = values[i] or nil
    end
    return fields
  end

  local function is_waiting(fields)
    return WAITING[fields.status]
  end

  local function turn_of(fields, now)
    return text(whole(fields.turn, now * 1000, -LARGEST))
  end

  -- Decodes the same text once.
  local function names_of(fields)
    if not fields.needs then return {} end
    local names = names_by_needs[fields.needs]
    if not names then
      names = {}
      for need in pairs(needs_of(fields) or {}) do
        names[#names + 1] = need
      end
      names_by_needs[fields.needs] = names
    end
    return names
  end

  local function join_needs(id, fields, now)
    for _, need in ipairs(names_of(fields)) do
      redis.call('ZADD', k.needs .. need, turn_of(fields, now), id)
      redis.call('PEXPIRE', k.needs .. need, INDEX_MS)
    end
  end

  local function leave_need(need, id)
    add_row(leaving, need, id)
  end

  local function leave_needs(id, fields)
    for _, need in ipairs(names_of(fields)) do
      leave_need(need, id)
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

  local function cancellation_of(reason, now, why, need)
    local outcome = outcome_of('cancelled', reason, now, why, need)
    return {outcome = outcome, more = ',' .. string.match(outcome, '"reason".*$'):sub(1, -2)}
  end

  local function cancel(id, fields, cancellation, now)
    local origin, job = fields.origin or '', k.job .. id
    redis.call('HSET', job, 'status', 'canceled', 'outcome', cancellation.outcome, 'ended_at', NOW_AT)
    if fields.held then
      unhold(id, fields)
    elseif fields.status ~= 'queued' then
      redis.call('ZREM', k.deferred .. origin, id)
      redis.call('ZREM', k.scheduled .. origin, id)
      redis.call('ZREM', k.ready .. origin, id)
    end
    add_row(canceled, origin, in_order(now, canceled[origin]), id)
    redis.call('PEXPIRE', job, k.keep_ms)
    leave_needs(id, fields)
    publish_job_event(origin, id, 'cancelled', cancellation.more)
    note_job('cancelled', origin, function_of(fields.data, fields.description))
  end

  local function hold(id, fields, need, until_ms, now)
    local origin = fields.origin or ''
    redis.call('HSET', k.job .. id, 'status', 'deferred', 'held', need)
    add_row(deferred, origin, in_order(now, deferred[origin]), id)
    add_row(held_rows, cjson.encode({origin, need}), turn_of(fields, now), id)
    if until_ms then
      redis.call('ZADD', k.holds, text(until_ms), id)
      redis.call('PEXPIRE', k.holds, INDEX_MS)
    end
    local more = ',"need":' .. cjson.encode(need) .. ',"at_ms":' .. text(now) .. (until_ms and ',"until_ms":' .. text(until_ms) or '')
    note_job('held', origin, function_of(fields.data, fields.description))
    publish_job_event(origin, id, 'held', more .. ',"why":' .. why_lost(need, 'on_loss=' .. (fields.on_loss or 'cancel'), now))
  end

  -- The effect of a loss on a waiting job: "cancel", "hold" and until when, or "go on": the need is back, the loss does not count.
  -- It is back also if it is overdue by now: what that means is decided when it is withdrawn.
  local function effect_of(fields, need, lost_ms, now)
    local grace_ms = whole(fields.grace_ms, 0, 0, YEAR_MS)
    if fields.on_loss ~= 'hold' and grace_ms == 0 then return 'cancel' end
    if presence(need) ~= 'gone' then return 'go on' end
    if fields.on_loss == 'hold' then
      local most_ms = whole(fields.max_hold_ms, nil, 0, YEAR_MS)
      return 'hold', most_ms and now + most_ms
    end
    local over_ms = (lost_ms or now) + grace_ms
    if over_ms <= now then return 'cancel' end
    return 'hold', over_ms
  end

  local function cached_loss_of(fields)
    if not fields.needs or fields.on_loss == 'ignore' then return nil end
    local known = loss_by_needs[fields.needs]
    if not known then
      known = {loss_of(fields)}
      loss_by_needs[fields.needs] = known
    end
    return known[1], known[2]
  end

  local function loss_cancellation(fields, need, now, reason)
    local policy = fields.on_loss or 'cancel'
    local known = cancellations[policy .. need]
    if not known then
      known = cancellation_of(need .. (reason or ' is gone'), now, why_lost(need, 'on_loss=' .. policy, now), need)
      cancellations[policy .. need] = known
    end
    return known
  end

  local function apply_policy(id, fields, now, reason)
    local need, lost_ms = cached_loss_of(fields)
    while need do
      local effect, until_ms = effect_of(fields, need, lost_ms, now)
      if effect == 'cancel' then
        note_loss(fields.on_loss, need)
        cancel(id, fields, loss_cancellation(fields, need, now, reason), now)
        return 'cancelled'
      elseif effect == 'hold' then
        note_loss(fields.on_loss, need)
        hold(id, fields, need, until_ms, now)
        return 'held'
      end
      fields.needs = up_to_date(needs_of(fields))
      redis.call('HSET', k.job .. id, 'needs', fields.needs)
      need, lost_ms = cached_loss_of(fields)
    end
    return nil
  end

  local function flush(now)
    for origin, rows in pairs(canceled) do
      redis.call('ZADD', k.canceled .. origin, unpack(rows))
      redis.call('ZREMRANGEBYSCORE', k.canceled .. origin, '-inf', text(math.floor((now - k.keep_ms) / 1000)))
    end
    for need, ids in pairs(leaving) do
      redis.call('ZREM', k.needs .. need, unpack(ids))
    end
    for origin, rows in pairs(deferred) do
      redis.call('ZADD', k.deferred .. origin, unpack(rows))
    end
    for pair, rows in pairs(held_rows) do
      local names = cjson.decode(pair)
      local key = k.held .. pair_of(names[1], names[2])
      redis.call('SADD', k.held_pairs, pair)
      redis.call('PEXPIRE', k.held_pairs, INDEX_MS)
      redis.call('ZADD', key, unpack(rows))
      redis.call('PEXPIRE', key, INDEX_MS)
    end
    canceled, deferred, held_rows, leaving = {}, {}, {}, {}
  end

  return {
    read = read, is_waiting = is_waiting, names_of = names_of, join_needs = join_needs, leave_need = leave_need,
    cancellation_of = cancellation_of, cancel = cancel, hold = hold, unhold = unhold, apply_policy = apply_policy, flush = flush,
  }
end

local made
local function transitions()
  made = made or make_transitions()
  return made
end

local function flush_changes(now)
  if made then
    made.flush(now)
  end
  close_topics()
end
