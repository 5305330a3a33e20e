-- include: workers.scripts.transitions
-- include: workers.scripts.rate_limit
-- include: workers.scripts.wake
-- Puts jobs on a queue, once however often the call is repeated. A job whose need is not there is cancelled or held instead, by its own
-- policy; a job that may be held is also held while other jobs of its queue are held for the same need: so they keep their order.
-- A job whose need is overdue waits in the queue; the claim does not start it before a heartbeat.
-- KEYS    queues  rq:queues
-- ARGV    NOW_AT, BODY  see parts/prefixes.lua
--         queue
--         asked         "again" if the same call was made before and its answer was lost, or ""
--         common_count  number of the following fields and values that all jobs have
--         ...           those, and then for each job: id; "new" (the id was made just now), "unique" (there must be no job of that
--                       id), "ended" (the job of that id must have failed, or been stopped or cancelled), "apart" (it must wait outside of
--                       the queue: held, deferred or scheduled) or ""; "front" or ""; its lifetime in ms or ""; its needs as JSON or ""; number of fields and values that only it has; those
-- returns for each job  "queued", "queued:<service>" if that service is overdue, "cancelled:<need>", "held:<need>", or "refused" if its
--                       condition does not hold
--                       its needs as the hash of the job holds them, or ""
local queue, asked, common_count = unpack(ARGV, OWN, OWN + 2)
local queues = KEYS[1]
local FIRST_COMMON = OWN + 3
local FIRST_JOB = FIRST_COMMON + common_count
local FIXED = 6 -- arguments of a job before its fields
local REGISTRY = {failed = k.failed, stopped = k.failed, canceled = k.canceled}
local OTHERS = {finished = k.finished, deferred = k.deferred, scheduled = k.scheduled, ready_to_enqueue = k.ready}
local APART = {deferred = true, scheduled = true}
-- A job that lost a need stays in the list of its queue until compact_queue has been there.
local LISTED = {queued = true, canceled = true, deferred = true}
local again, turn = asked == 'again', now_us()
local now, list = math.floor(turn / 1000), k.queue .. queue
local common = {unpack(ARGV, FIRST_COMMON, FIRST_JOB - 1)}
local pushed = 0 -- jobs that are on the list by now, or soon
local back, indexes, admissions = {}, {}, {} -- ids for the end of the list; need -> turns and ids; needs -> see admit

-- Looks needs up, once for all jobs that have the same. Returns kept: them as JSON, with the serials of now, so that earlier losses do
-- not count; names; missing: a need that is gone; overdue: a service.
local function admit(written)
  local known = admissions[written]
  if known then return known end
  local needs, names, missing, overdue = needs_of({needs = written}) or {}, {}, nil, nil
  for need in pairs(needs) do
    names[#names + 1] = need
    needs[need] = serial_of(need)
    local found, service = presence(need)
    if found == 'gone' then missing = need end
    overdue = overdue or service
  end
  known = {kept = cjson.encode(needs), names = names, missing = missing, overdue = overdue}
  admissions[written] = known
  return known
end

-- A need for which other jobs of this queue are held, or nil.
local function held_for(admission)
  if admission.held == nil then
    admission.held = false
    for _, need in ipairs(admission.names) do
      if redis.call('EXISTS', k.held .. pair_of(queue, need)) == 1 then
        admission.held = need
      end
    end
  end
  return admission.held
end

local function index(id, at, names)
  for _, need in ipairs(names) do
    local rows = indexes[need] or {}
    rows[#rows + 1], rows[#rows + 2] = at, id
    indexes[need] = rows
  end
end

-- Writes the rows of the indexes and the end of the list for many jobs at once, which costs about as much as for one job.
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

-- The fields of a job: turn, the fields that all jobs have, needs if there are any, and the fields that only this job has.
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

-- The answer for a job that the first call enqueued, whose answer was lost; nil if it did not enqueue the job.
local function known_as(id, enqueued_at)
  local known, stored = transitions().read(id), redis.call('HMGET', k.job .. id, 'enqueued_at', 'outcome')
  if stored[1] ~= enqueued_at then return nil end
  if known.held then return 'held:' .. known.held, known.needs end
  local readable, outcome = pcall(cjson.decode, stored[2] or '')
  return known.status == 'canceled' and readable and 'cancelled:' .. (outcome.need or '') or 'queued', known.needs
end

-- Removes an earlier job with the same id, whose traces would be taken for those of the new job.
local function begin_anew(id)
  local was = transitions().read(id)
  if was.held then
    transitions().unhold(id, was)
  end
  for _, need in ipairs(transitions().names_of(was)) do
    redis.call('ZREM', k.needs .. need, id) -- at once: the new job may have the same need
  end
  redis.call('DEL', k.job .. id)
  if LISTED[was.status] then
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
  if was and condition == 'unique' or condition == 'ended' and not REGISTRY[was] or condition == 'apart' and not APART[was] then return 'refused' end
  if was then begin_anew(id) end
  local at = text(front == 'front' and -turn or turn)
  turn = turn + 1 -- two scripts, and two jobs of one script, are at least so far apart
  redis.call('HSET', job, unpack(fields_from(first, last, at, written ~= '' and admit(written).kept)))
  if ttl_ms ~= '' then
    redis.call('PEXPIRE', job, ttl_ms)
  end
  local limit = condition == 'ended' and field_of(first, last, 'rate_limit_key')
  if limit then -- it is tried again, and takes its turn within its limit
    await_place(id, limit, field_of(first, last, 'rate_limit_concurrency'), now)
    return 'queued'
  end
  if written ~= '' then
    local admission = admit(written)
    index(id, at, admission.names)
    if admission.missing and field_of(first, last, 'on_loss') ~= 'ignore' then
      flush() -- the job never enters the list
      local effect = transitions().apply_policy(id, transitions().read(id), now, ' was not there when it was enqueued')
      return effect .. ':' .. admission.missing, admission.kept
    end
  end
  if written ~= '' and front ~= 'front' and field_of(first, last, 'on_loss') == 'hold' and held_for(admit(written)) then
    flush() -- the jobs that were held before this one start before it
    local fields, need = transitions().read(id), admit(written).held
    local most_ms = whole(fields.max_hold_ms, nil, 0, YEAR_MS)
    transitions().hold(id, fields, need, most_ms and now + most_ms, now)
    return 'held:' .. need, admit(written).kept
  end
  if front == 'front' then
    redis.call('LPUSH', list, id)
    pushed = pushed + 1
  else
    back[#back + 1] = id
    pushed = pushed + 1
  end
  note_job('enqueued', queue, function_of(field_of(first, last, 'data'), field_of(first, last, 'description')))
  publish_job_event(queue, id, 'enqueued', ',"at_ms":' .. text(now))
  if written == '' then return 'queued' end
  local overdue = field_of(first, last, 'on_loss') ~= 'ignore' and admit(written).overdue
  return overdue and 'queued:' .. overdue or 'queued', admit(written).kept
end

redis.call('SADD', queues, list)
local answers, i = {}, FIRST_JOB
while i <= #ARGV do
  local first = i + FIXED
  local last = first + ARGV[i + 5] - 1
  local answer, needs = put(ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3], ARGV[i + 4], first, last)
  answers[#answers + 1] = answer
  answers[#answers + 1] = needs or ''
  i = last + 1
end
flush()
flush_changes(now)
if pushed > 1 or pushed == 1 and not is_awaited(queue) then
  wake(queue, pushed)
end
return answers
