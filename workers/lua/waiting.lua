-- Included by the scripts that take waiting jobs out of their queues ("-- include: waiting"), after "names", "now", "loss", "outcome",
-- "emit" and "tell"; it is not run by itself. The list of the queue is left to who includes this.
--
-- read(id) -> the fields of a job that count here; what is missing is nil
-- waits(fields) -> whether it has not started
-- join_needs(id, fields, now), leave_needs(id, fields): put it into the indexes of what it needs, take it out
-- cancel_one(id, fields, outcome, now): it ends as canceled
-- hold_one(id, fields, need, until_ms, now): it is set aside until the need is there, or until_ms; nil for however long it takes
-- unhold(id, fields): it is not held any more
-- judge(id, fields, now) -> "cancelled" or "held" if it has lost what it needs, and was dealt with by its own rule; nil if it may run
local FIELDS = {'status', 'needs', 'on_loss', 'origin', 'turn', 'held', 'max_hold_ms', 'grace_ms', 'outcome', 'stopped', 'enqueued_at'}
local INDEX_MS = 30 * 86400000

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

local function join_needs(id, fields, now)
  for need in pairs(needs_of(fields) or {}) do
    redis.call('ZADD', k.needs .. need, turn_of(fields, now), id)
    redis.call('PEXPIRE', k.needs .. need, INDEX_MS)
  end
end

local function leave_needs(id, fields)
  for need in pairs(needs_of(fields) or {}) do
    redis.call('ZREM', k.needs .. need, id)
  end
end

local function unhold(id, fields)
  redis.call('HDEL', k.job .. id, 'held')
  redis.call('ZREM', k.held .. fields.origin .. ':' .. fields.held, id)
  redis.call('ZREM', k.deferred .. fields.origin, id)
  redis.call('ZREM', k.holds, id)
end

local swept = {}
local function cancel_one(id, fields, outcome, now)
  local origin, job = fields.origin or '', k.job .. id
  redis.call('HSET', job, 'status', 'canceled', 'outcome', outcome, 'ended_at', NOW_AT)
  if fields.held then
    unhold(id, fields)
  elseif fields.status ~= 'queued' then
    redis.call('ZREM', k.deferred .. origin, id)
    redis.call('ZREM', k.scheduled .. origin, id)
  end
  redis.call('ZADD', k.canceled .. origin, text(math.floor(now / 1000)), id)
  if not swept[origin] then
    redis.call('ZREMRANGEBYSCORE', k.canceled .. origin, '-inf', text(math.floor((now - k.keep_ms) / 1000)))
    swept[origin] = true
  end
  redis.call('PEXPIRE', job, k.keep_ms)
  leave_needs(id, fields)
  tell(origin, id, 'cancelled', ',' .. string.match(outcome, '"reason".*$'):sub(1, -2))
end

local function hold_one(id, fields, need, until_ms, now)
  local origin = fields.origin or ''
  local held = k.held .. origin .. ':' .. need
  redis.call('HSET', k.job .. id, 'status', 'deferred', 'held', need)
  redis.call('ZADD', k.deferred .. origin, text(math.floor(now / 1000)), id)
  redis.call('ZADD', held, turn_of(fields, now), id)
  redis.call('PEXPIRE', held, INDEX_MS)
  redis.call('SADD', k.held_pairs, cjson.encode({origin, need}))
  redis.call('PEXPIRE', k.held_pairs, INDEX_MS)
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

local function judge(id, fields, now, reason)
  local need, lost_ms = loss_of(fields)
  while need do
    local fate, until_ms = fate_of(fields, need, lost_ms, now)
    if fate == 'cancel' then
      local why = why_lost(need, 'on_loss=' .. (fields.on_loss or 'cancel'), now)
      cancel_one(id, fields, outcome_of('cancelled', need .. (reason or ' is gone'), now, why, need), now)
      return 'cancelled'
    elseif fate == 'hold' then
      hold_one(id, fields, need, until_ms, now)
      return 'held'
    end
    fields.needs = up_to_date(needs_of(fields))
    redis.call('HSET', k.job .. id, 'needs', fields.needs)
    need, lost_ms = loss_of(fields)
  end
  return nil
end
