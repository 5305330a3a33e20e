-- include: workers.scripts.transitions
-- Puts jobs on a queue, once however often it is asked. One that needs what is not there is cancelled or held instead, by its own rule;
-- one that may be held is held as well while others of its queue are that wait for the same: they keep their order.
-- KEYS    1 rq:queues
-- ARGV    1-2 as in names.lua, then  1 queue  2 "again" if this was asked before and the answer was lost, or ""
--         3 number of fields and values that all of them have  4... those, and then for each job: id; "new" (nobody else can know the id), "unique" (there must be none of that id), "ended" (it must have
--         failed, or been stopped or cancelled) or ""; "front" or ""; its lifetime in ms or ""; its needs as JSON or "";
--         number of fields and values that only it has; those
-- returns for each job  "queued", "cancelled:<need>", "held:<need>", or "refused": it is not unique, or has not ended so
--                       its needs as they are kept, or ""
local FIXED = 6 -- ARGV of a job before its fields
local REGISTRY = {failed = k.failed, stopped = k.failed, canceled = k.canceled}
local OTHERS = {finished = k.finished, deferred = k.deferred, scheduled = k.scheduled}
local queue, again, turn = arg(1), arg(2) == 'again', now_us()
local now, list = math.floor(turn / 1000), k.queue .. queue
local common = {unpack(ARGV, 6, 5 + arg(3))}
local back, indexes, admissions = {}, {}, {} -- ids for the end of the list; need -> turns and ids; needs -> how they stand

-- How needs stand: as they are kept (what was lost before counts no more), their names, one that is not there, and one for which
-- others of this queue are held still.
local function admit(written)
  local known = admissions[written]
  if known then return known end
  local needs, names, missing, held = needs_of({needs = written}) or {}, {}, nil, nil
  for need in pairs(needs) do
    names[#names + 1] = need
    needs[need] = serial_of(need)
    if not is_there(need) then missing = need end
    if redis.call('EXISTS', k.held .. pair_of(queue, need)) == 1 then held = need end
  end
  known = {kept = cjson.encode(needs), names = names, missing = missing, held = held}
  admissions[written] = known
  return known
end

local function index(id, at, names)
  for _, need in ipairs(names) do
    local rows = indexes[need] or {}
    rows[#rows + 1], rows[#rows + 2] = at, id
    indexes[need] = rows
  end
end

-- What is to be written for all of them; many at once cost as much as one.
local function flush()
  for need, rows in pairs(indexes) do
    redis.call('ZADD', k.needs .. need, unpack(rows))
    redis.call('PEXPIRE', k.needs .. need, INDEX_MS)
  end
  if #back > 0 then
    redis.call('RPUSH', list, unpack(back))
  end
  back, indexes = {}, {}
end

local function field_of(first, last, name)
  for i = first, last, 2 do
    if ARGV[i] == name then return ARGV[i + 1] end
  end
  for i = 1, #common, 2 do
    if common[i] == name then return common[i + 1] end
  end
end

-- Turn, needs if there are any, what all jobs have, and what this one has.
local function fields_from(first, last, at, kept)
  local row = {'turn', at, unpack(common)}
  if kept then
    row[#row + 1], row[#row + 2] = 'needs', kept
  end
  for i = first, last do
    row[#row + 1] = ARGV[i]
  end
  return row
end

-- What was answered when this was asked the first time.
local function known_as(id, enqueued_at)
  local known, said = of_waiting().read(id), redis.call('HMGET', k.job .. id, 'enqueued_at', 'outcome')
  if said[1] ~= enqueued_at then return nil end
  if known.held then return 'held:' .. known.held, known.needs end
  local readable, outcome = pcall(cjson.decode, said[2] or '')
  return known.status == 'canceled' and readable and 'cancelled:' .. (outcome.need or '') or 'queued', known.needs
end

-- Its id was used before: what that one left would be taken for its own.
local function begin_anew(id)
  local was = of_waiting().read(id)
  if was.held then
    of_waiting().unhold(id, was)
  end
  for _, need in ipairs(of_waiting().names_of(was)) do
    redis.call('ZREM', k.needs .. need, id) -- at once: it may need the same again
  end
  redis.call('DEL', k.job .. id)
  if was.status == 'queued' then
    redis.call('LREM', k.queue .. (was.origin or queue), 1, id)
  end
  local registry = REGISTRY[was.status] or OTHERS[was.status]
  if registry then
    redis.call('ZREM', registry .. (was.origin or queue), id)
  end
end

local function put(id, condition, front, ttl_ms, written, first, last)
  local job = k.job .. id
  local was = condition ~= 'new' and redis.call('HGET', job, 'status')
  if again then
    local known, needs = known_as(id, field_of(first, last, 'enqueued_at'))
    if known then return known, needs end
  end
  if was and condition == 'unique' or condition == 'ended' and not REGISTRY[was] then return 'refused' end
  if was then begin_anew(id) end
  local at = text(front == 'front' and -turn or turn)
  turn = turn + 1 -- neither two scripts nor the jobs of one follow each other faster
  redis.call('HSET', job, unpack(fields_from(first, last, at, written ~= '' and admit(written).kept)))
  if ttl_ms ~= '' then
    redis.call('PEXPIRE', job, ttl_ms)
  end
  if written ~= '' then
    local admission = admit(written)
    index(id, at, admission.names)
    if admission.missing and field_of(first, last, 'on_loss') ~= 'ignore' then
      flush() -- it never enters the list
      local how = of_waiting().judge(id, of_waiting().read(id), now, ' was not there when it was enqueued')
      return how .. ':' .. admission.missing, admission.kept
    end
  end
  if written ~= '' and admit(written).held and front ~= 'front' and field_of(first, last, 'on_loss') == 'hold' then
    flush() -- those that were held before it are to start before it
    local fields, need = of_waiting().read(id), admit(written).held
    local most_ms = tonumber(fields.max_hold_ms or '')
    of_waiting().hold_one(id, fields, need, most_ms and now + most_ms, now)
    return 'held:' .. need, admit(written).kept
  end
  if front == 'front' then
    redis.call('LPUSH', list, id)
  else
    back[#back + 1] = id
  end
  tell(queue, id, 'enqueued', ',"at_ms":' .. text(now))
  return 'queued', written ~= '' and admit(written).kept
end

redis.call('SADD', KEYS[1], list)
local answers, i = {}, 6 + arg(3)
while i <= #ARGV do
  local first = i + FIXED
  local last = first + ARGV[i + 5] - 1
  local answer, needs = put(ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3], ARGV[i + 4], first, last)
  answers[#answers + 1] = answer
  answers[#answers + 1] = needs or ''
  i = last + 1
end
flush()
settle(now)
return answers
