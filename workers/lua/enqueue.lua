-- include: names
-- include: now
-- include: loss
-- include: outcome
-- include: emit
-- include: tell
-- include: waiting
-- Puts jobs on a queue, once however often it is asked. One that needs what is not there is cancelled or held instead, by its own rule.
-- KEYS    1-6 as in names.lua, then  1 rq:queues
-- ARGV    1-31 as in names.lua, then  1 queue  2 "again" if this was asked before and the answer was lost, or ""  3 number of jobs
--         4... for each job: id, "front" or "", "unique" (there must be none of that id), "ended" (it must have failed, or been
--         stopped or cancelled) or "", its lifetime in ms or "", number of fields and values, those
-- returns for each job  "queued", "cancelled:<need>", "held:<need>", or "refused": it is not unique, or has not ended so
--                       its needs as they are kept, or ""
local queue, again, now, at = arg(1), arg(2) == 'again', now_ms(), 35
local list, answers = k.queue .. queue, {}
local turn = math.max(now * 1000, tonumber(redis.call('GET', k.turn) or '0') + 1)

local REGISTRY = {failed = k.failed, stopped = k.failed, canceled = k.canceled}

-- What a need lost before counts no more. Returns what is not there.
local function admit(fields)
  local needs, missing = needs_of(fields), nil
  if not needs then return nil end
  for need in pairs(needs) do
    needs[need] = serial_of(need)
    if not is_there(need) then missing = need end
  end
  fields.needs = cjson.encode(needs)
  return fields.on_loss ~= 'ignore' and missing
end

-- It never enters the list.
local function refuse(id, fields, missing)
  fields.status = 'queued'
  local how = judge(id, fields, now, ' was not there when it was enqueued')
  return (how or 'queued') .. ':' .. missing
end

-- What was answered when this was asked the first time.
local function known_as(id, enqueued_at)
  local known = read(id)
  if known.enqueued_at ~= enqueued_at then return nil end
  if known.held then return 'held:' .. known.held, known.needs end
  local readable, outcome = pcall(cjson.decode, known.outcome or '')
  return known.status == 'canceled' and readable and 'cancelled:' .. (outcome.need or '') or 'queued', known.needs
end

-- Its id was used before: what that one left would be taken for its own.
local function begin_anew(id, was)
  local old = read(id)
  leave_needs(id, old)
  if old.held then
    unhold(id, old)
  end
  redis.call('HDEL', k.job .. id, 'fence', 'sealed', 'stopped', 'outcome', 'needs', 'on_loss', 'max_hold_ms', 'grace_ms')
  local registry = REGISTRY[was] or (was == 'deferred' and k.deferred) or (was == 'scheduled' and k.scheduled)
  if registry then
    redis.call('ZREM', registry .. queue, id)
  end
end

local function put(id, front, condition, ttl_ms, first, count)
  local job, fields = k.job .. id, {}
  for i = first, first + count - 1, 2 do
    fields[ARGV[i]] = ARGV[i + 1]
  end
  if again then
    local known, needs = known_as(id, fields.enqueued_at)
    if known then return known, needs end
  end
  local was = redis.call('HGET', job, 'status')
  if was and condition == 'unique' or condition == 'ended' and not REGISTRY[was] then return 'refused' end
  if was then begin_anew(id, was) end
  fields.turn = text(front == 'front' and -turn or turn)
  turn = turn + 1
  redis.call('HSET', job, 'turn', fields.turn, unpack(ARGV, first, first + count - 1))
  local missing = admit(fields)
  if fields.needs then
    redis.call('HSET', job, 'needs', fields.needs)
    join_needs(id, fields, now)
  end
  if ttl_ms ~= '' then
    redis.call('PEXPIRE', job, ttl_ms)
  else
    redis.call('PERSIST', job)
  end
  if missing then return refuse(id, fields, missing), fields.needs end
  redis.call(front == 'front' and 'LPUSH' or 'RPUSH', list, id)
  tell(queue, id, 'enqueued', ',"at_ms":' .. text(now))
  return 'queued', fields.needs
end

redis.call('SADD', key(1), list)
while at <= #ARGV do
  local count = tonumber(ARGV[at + 4])
  local answer, needs = put(ARGV[at], ARGV[at + 1], ARGV[at + 2], ARGV[at + 3], at + 5, count)
  answers[#answers + 1] = answer
  answers[#answers + 1] = needs or ''
  at = at + 5 + count
end
redis.call('SET', k.turn, text(turn - 1), 'PX', 30 * 86400000)
told()
return answers
