-- include: names
-- include: now
-- include: loss
-- include: outcome
-- include: emit
-- include: tell
-- include: waiting
-- Deals with waiting jobs that have lost what they need, some of them: each is cancelled or held, by its own rule.
-- KEYS    none: they are built from the names
-- ARGV    1-2 as in names.lua, then  1 the need  2 how many of its index to pass over: they wait on  3 how many to look at
-- returns {looked at, cancelled, held, those that wait on, the queues whose lists are to be tidied}
local now, need = now_ms(), arg(1)
local first = tonumber(arg(2))
local ids = redis.call('ZRANGE', k.needs .. need, first, first + arg(3) - 1)
local count, queues = {cancelled = 0, held = 0, waits = 0}, {}
for _, id in ipairs(ids) do
  local fields = read(id)
  local done = fields.status == 'queued' and judge(id, fields, now)
  if done then
    queues[fields.origin or ''] = true
  end
  if waits(fields) and done ~= 'cancelled' then
    count.waits = count.waits + 1
  elseif not done then
    row_into(left, need, id)
  end
  if done then
    count[done] = count[done] + 1
  end
end
settle(now)
local names = {}
for queue in pairs(queues) do
  names[#names + 1] = queue
end
return {#ids, count.cancelled, count.held, count.waits, names}
