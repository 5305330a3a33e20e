-- include: workers.scripts.transitions
-- Deals with waiting jobs that have lost what they need, some of them: each is cancelled or held, by its own rule.
-- KEYS    none: they are built from the names
-- ARGV    1-2 as in names.lua, then  1 the need  2 how many of its index to pass over: they wait on  3 how many to look at
-- returns {looked at, cancelled, held, those that wait on, the queues whose lists are to be tidied}
local w = of_waiting()
local now, need = now_ms(), arg(1)
local first = tonumber(arg(2))
local ids = redis.call('ZRANGE', k.needs .. need, first, first + arg(3) - 1)
local count, taken = {cancelled = 0, held = 0, waits = 0}, {} -- queue -> set of ids that wait there no more

local function note(queue, id)
  local set = taken[queue] or {ids = {}, size = 0}
  set.ids[id], set.size = true, set.size + 1
  taken[queue] = set
end

-- Most often they are the first of their list, for that has the same order: then they go in one step. Returns how many did.
local function take_first(queue, set)
  local first_ones, n = redis.call('LRANGE', k.queue .. queue, 0, set.size - 1), 0
  while first_ones[n + 1] and set.ids[first_ones[n + 1]] do
    n = n + 1
  end
  if n > 0 then
    redis.call('LTRIM', k.queue .. queue, n, -1)
  end
  return n
end

for _, id in ipairs(ids) do
  local fields = w.read(id)
  local done = fields.status == 'queued' and w.judge(id, fields, now)
  if done then
    note(fields.origin or '', id)
    count[done] = count[done] + 1
  end
  if w.waits(fields) and done ~= 'cancelled' then
    count.waits = count.waits + 1
  elseif not done then
    w.forget(need, id)
  end
end
settle(now)
local untidy = {}
for queue, set in pairs(taken) do
  if take_first(queue, set) < set.size then
    untidy[#untidy + 1] = queue
  end
end
return {#ids, count.cancelled, count.held, count.waits, untidy}
