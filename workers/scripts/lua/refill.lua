-- include: workers.scripts.finish
-- include: workers.scripts.wake
-- include: workers.scripts.beside
-- include: workers.scripts.pauses
-- Records the ends of several runs of a worker, and gives it several plain jobs ahead of their turn, in one step. A plain job needs no
-- service and has nothing that a start must undo; where another one comes first, claim.lua takes it, alone.
-- KEYS    worker_key  rq:worker:<name>
--         suspended   rq:suspended
--         paused      ns:paused
--         ...         rq:queue:<name>, the most urgent first
-- ARGV    NOW_AT, BODY  see parts/prefixes.lua
--         worker
--         asked              "again" if the same call was made before and its answer was lost, or ""
--         call               names the call: no other of this worker has the same
--         heartbeat_s        seconds between heartbeats of a run
--         idle_s             seconds that an idle worker may be silent
--         default_timeout_s  the timeout of a job that has none of its own
--         result_ttl_s       for how long results are kept, unless the job says so
--         max_bytes          the largest call of a job
--         most_bytes         of all jobs together
--         json_only          "1" takes only jobs whose call is JSON, or ""
--         line               the runs that go on, the oldest first: "<id>:<fence> <id>:<fence>"
--         base, number       of the fences of the runs that begin; the number of the first
--         wanted             how many jobs to take at most
--         rooms              JSON: how many calls of a function may be taken, by its path; see parts/beside.lua
--         beside             "1" takes no other functions: these jobs run side by side; "" takes any others
--         served             a queue that is marked as served by this worker since a moment ago, or ""
--         counts             "1" writes the counters of the worker and extends its lifetime, in any case; "" while it has jobs not
--         count, seconds     of runs that ended and were not counted yet
--         ...                the runs that ended: id, fence, "1" if it is announced, "?" if that is not known, or "", started_s, ended_s, started_at, ended_at, result
-- returns {for each end how it was recorded, see parts/finish.lua; claim; 1 if there may be more jobs or else 0; 1 if the counters were
--          written or else 0; for each job that was taken the number of its queue, its id, and its fields and values}
--         claim  "started"; or why there is no job: "", "suspended", "alone" (see claim.lua), "full" (there is no room for more calls of its
--                function), or "unfinished": an end has to be recorded first
local worker_key, suspended, paused = unpack(KEYS, 1, 3)
local worker, asked, call, heartbeat_s, idle_s, default_timeout_s, result_ttl_s, max_bytes = unpack(ARGV, OWN, OWN + 7)
local most_bytes, json_only, line, base, number, wanted, rooms, beside = unpack(ARGV, OWN + 8, OWN + 15)
local served, counts, count, seconds = unpack(ARGV, OWN + 16, OWN + 19)
local FIRST_QUEUE, FIRST_END = 4, OWN + 20
local OF_AN_END = 8 -- arguments
local COUNTED = '+' -- stands behind the name of a call that has written the counters
local now = now_ms()
local now_s, most, room = math.floor(now / 1000), tonumber(wanted), tonumber(most_bytes)
local taken, gone, started = {}, {}, {} -- {queue, id, flat, fence}; list -> how many come off it; registry -> row for ZADD
local popped -- {list, id} of a single job that is off its list already
local more, is_full, is_due = false, false, counts == '1'
local left_of = rooms_of(rooms)

local function ends()
  local runs = {}
  for i = FIRST_END, #ARGV, OF_AN_END do
    local run = {ttl_s = result_ttl_s}
    run.id, run.fence, run.is_announced, run.started_s, run.ended_s, run.started_at, run.ended_at, run.result = unpack(ARGV, i, i + OF_AN_END - 1)
    runs[#runs + 1] = run
  end
  return runs
end

-- The fields and values of a job that may be claimed ahead, or nil.
local function plain(id, list)
  local flat, fields, size = redis.pcall('HGETALL', k.job .. id), {}, 0
  for i = 1, #flat, 2 do
    fields[flat[i]] = flat[i + 1]
    size = size + #flat[i] + #flat[i + 1]
  end
  local bytes = #(fields.data or '')
  local is_plain = bytes > 0 and bytes <= tonumber(max_bytes) and fields.status == 'queued'
    and k.queue .. (fields.origin or '') == list and string.find(id, '^[%w_-]+$')
    and not (fields.needs or fields.ttl or fields.held or fields.outcome or fields.sealed or fields.stopped)
    and (fields.ended_at or '') == '' and (fields.stopped_callback_name or '') == ''
    and (json_only == '' or string.sub(fields.data, 1, 1) == '[')
  if not is_plain or size > room then return nil end
  local has_room, is_known = takes(left_of, fields.data, beside == '1')
  if not has_room then
    is_full = is_known and beside == '1'
    return nil
  end
  room = room - size
  return flat, fields
end

local function take(queue, id, flat, fields)
  local fence = base .. string.format('%08x', number + #taken)
  local timeout_s = whole(fields.timeout, tonumber(default_timeout_s), -1, LONGEST_TTL_S)
  local ttl_s = (timeout_s > 0 and math.min(timeout_s, tonumber(heartbeat_s)) or heartbeat_s) + 60
  taken[#taken + 1] = {queue, id, flat, fence, fields}
  add_to(started, k.started .. (fields.origin or ''), now_s + ttl_s, id .. ':' .. fence)
end

-- The first jobs of a list, one more than there is room for. A single one is taken off, which saves a command.
local function first_of(list)
  local asked = most - #taken
  if asked ~= 1 then return redis.call('LRANGE', list, 0, asked) end
  local id = redis.call('LPOP', list)
  popped = id and {list, id} or nil
  return {id or nil}
end

local function put_back()
  if popped then
    redis.call('LPUSH', unpack(popped))
    popped = nil
  end
end

-- Chooses the jobs to take; nothing is written yet. Returns why there is none.
local function choose(may_be_kept)
  if may_be_kept and is_suspended(suspended, paused) then return 'suspended' end
  local has_kept = false
  for i = FIRST_QUEUE, #KEYS do
    local is_kept = is_paused(KEYS[i])
    has_kept = has_kept or is_kept
    for place, id in ipairs(is_kept and {} or first_of(KEYS[i])) do
      if #taken == most then
        more = true
        return ''
      end
      local flat, fields = plain(id, KEYS[i])
      if not flat then
        put_back()
        more = true
        return is_full and 'full' or 'alone'
      end
      take(i - FIRST_QUEUE, id, flat, fields)
      if popped then
        more = true -- perhaps
        return ''
      end
      gone[KEYS[i]] = place
    end
  end
  return has_kept and not taken[1] and 'alone' or '' -- claim.lua says how many jobs stay
end

-- The jobs that the same call gave out before.
local function chosen_before()
  for id, fence in string.gmatch(redis.call('HGET', worker_key, 'ahead') or '', '(%S+):(%x+)') do
    if string.sub(fence, 1, #base) == base and tonumber(string.sub(fence, #base + 1), 16) >= tonumber(number) then
      local flat = redis.pcall('HGETALL', k.job .. id)
      local origin, number_of_queue = redis.pcall('HGET', k.job .. id, 'origin') or '', 0
      for i = FIRST_QUEUE, #KEYS do
        if KEYS[i] == k.queue .. origin then number_of_queue = i - FIRST_QUEUE end
      end
      taken[#taken + 1] = {number_of_queue, id, flat[1] and flat or {}, fence}
    end
  end
end

local function write_line(answers, runs)
  local names = {}
  for i, answer in ipairs(answers) do
    if answer ~= 'finished' then
      names[#names + 1] = runs[i].id .. ':' .. runs[i].fence -- until it is recorded in another way
    end
  end
  if line ~= '' then
    names[#names + 1] = line
  end
  for _, row in ipairs(taken) do
    names[#names + 1] = row[2] .. ':' .. row[4]
  end
  is_due = is_due or not names[1]
  local noted = is_due and call .. COUNTED or call
  if names[1] then
    local first = string.match(names[1], '^[^:]*')
    local added = redis.call('HSET', worker_key, 'state', 'busy', 'current_job', first, 'ahead', table.concat(names, ' '), 'call', noted,
      'last_heartbeat', NOW_AT)
    if is_due or added == 5 then -- else it has a lifetime, which is long
      redis.call('EXPIRE', worker_key, heartbeat_s + 60)
    end
  else
    redis.call('HSET', worker_key, 'state', 'idle', 'call', noted, 'last_heartbeat', NOW_AT)
    redis.call('HDEL', worker_key, 'current_job', 'ahead')
    redis.call('EXPIRE', worker_key, idle_s)
  end
end

local function start_all()
  for _, row in ipairs(taken) do
    note_start(row[5].origin or '', row[5], now, not taken[2])
    redis.call('HSET', k.job .. row[2], 'status', 'started', 'fence', row[4], 'worker_name', worker, 'started_at', NOW_AT,
      'last_heartbeat', NOW_AT)
  end
  for list, places in pairs(gone) do
    redis.call('LTRIM', list, places, -1) -- last: after an error the jobs are still in the list
  end
end

-- Writes the registries of started jobs: from here on the reaper finds the runs. Returns whether that was possible.
local function register()
  local done = {}
  for key, row in pairs(started) do
    if type(redis.pcall('ZADD', key, unpack(row))) == 'table' then -- it is no sorted set: claim.lua says so
      for written, its_row in pairs(done) do
        redis.call('ZREM', written, unpack(its_row))
      end
      return false
    end
    done[key] = row
  end
  return true
end

local runs = ends()
local noted = asked == 'again' and redis.call('HGET', worker_key, 'call')
local was_done = noted == call or noted == call .. COUNTED
local answers, counted, may_be_kept = finish(worker_key, worker, runs, now, most > 0 and {suspended, paused} or nil)
local claim, is_open = 'unfinished', false
for _, answer in ipairs(answers) do
  is_open = is_open or answer ~= 'finished'
end

local function claim_more()
  if was_done then
    chosen_before()
    claim = is_open and 'unfinished' or 'alone' -- nobody knows any more why there was none
  elseif not is_open then
    claim = most > 0 and choose(may_be_kept) or ''
  end
  write_line(answers, runs)
  if was_done then return end
  if register() then
    start_all()
  else
    put_back()
    taken, claim = {}, 'alone'
    write_line(answers, runs)
  end
end

local done, problem = pcall(claim_more)
if not done then
  put_back()
  error(problem, 0)
end
if was_done then
  is_due = noted ~= call
elseif is_due then
  count_ends(worker_key, count + counted[1], seconds + counted[2])
end
if taken[1] and not was_done then
  local list, last = KEYS[FIRST_QUEUE + taken[#taken][1]], runs[#runs]
  local queue = string.sub(list, #k.queue + 1)
  if queue ~= served then
    wake_behind(queue, more and redis.call('LLEN', list) or 0, worker, last and last.ended_s - last.started_s or nil)
  end
elseif claim == '' and most > 0 and line == '' and not taken[1] then
  redis.call('DEL', unpack(not_served(queues_in(KEYS, FIRST_QUEUE), worker)))
end
close_topics()
local answer = {answers, taken[1] and 'started' or claim, more and 1 or 0, is_due and 1 or 0}
for _, row in ipairs(taken) do
  answer[#answer + 1], answer[#answer + 2], answer[#answer + 3] = row[1], row[2], row[3]
end
return answer
