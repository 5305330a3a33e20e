-- include: workers.scripts.transitions
-- Applies the loss of a need to some of the waiting jobs that have that need: each is cancelled or held, by its own policy.
-- KEYS    none: the keys are built from the prefixes
-- ARGV    NOW_AT, BODY  see parts/prefixes.lua
--         need
--         passed  how many jobs of the need's index to skip: they keep waiting
--         count   how many jobs to look at
-- returns {numbers of jobs looked at, cancelled, held, and still waiting; the queues whose lists compact_queue has to go through}
local need, passed, count = unpack(ARGV, OWN)
local jobs = transitions()
local now, first = now_ms(), tonumber(passed)
local ids = redis.call('ZRANGE', k.needs .. need, first, first + count - 1)
local done, taken = {cancelled = 0, held = 0, waiting = 0}, {} -- queue -> set of ids that do not wait there any more

local function note(queue, id)
  local set = taken[queue] or {ids = {}, size = 0}
  set.ids[id], set.size = true, set.size + 1
  taken[queue] = set
end

-- Takes the jobs of a set off their list in one step if they come first, as most do: the index has the same order. Returns how many.
local function take_first(queue, set)
  local first_ids, n = redis.call('LRANGE', k.queue .. queue, 0, set.size - 1), 0
  while first_ids[n + 1] and set.ids[first_ids[n + 1]] do
    n = n + 1
  end
  if n > 0 then
    redis.call('LTRIM', k.queue .. queue, n, -1)
  end
  return n
end

for _, id in ipairs(ids) do
  local fields = jobs.read(id)
  local effect = fields.status == 'queued' and jobs.apply_policy(id, fields, now)
  if effect then
    note(fields.origin or '', id)
    done[effect] = done[effect] + 1
  end
  if jobs.is_waiting(fields) and effect ~= 'cancelled' then
    done.waiting = done.waiting + 1
  elseif not effect then
    jobs.leave_need(need, id)
  end
end
flush_changes(now)
local sparse = {}
for queue, set in pairs(taken) do
  if take_first(queue, set) < set.size then
    sparse[#sparse + 1] = queue
  end
end
return {#ids, done.cancelled, done.held, done.waiting, sparse}
