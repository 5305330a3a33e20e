-- include: workers.scripts.prefixes
-- include: notify.events.append
-- Included by the scripts that tell what becomes of jobs, after "names" and "emit" ("-- include: tell"); it is not run by itself.
--
-- open_topic(queue) -> the head of its topic, read once
-- tell(queue, id, status, more): an event on the topic of the queue, if such are told
--   more   JSON members for its contents, each with a comma before it, or ""
-- told(): what was told is in the heads of the topics; to be called last of all
local heads = {}

local function open_topic(queue)
  local topic = k.topic .. queue
  local head = {topic = topic, channel = k.channel .. topic, keys = {log = k.log .. topic, head = k.head .. topic, topics = k.topics}}
  head.epoch, head.last, head.touched = open_head(head.keys.head)
  head.before = k.body_begins .. cjson.encode(topic) .. BODY
  heads[queue] = head
  return head
end

local function tell(queue, id, status, more)
  if not string.find(k.tells, status, 1, true) then return end
  local head = heads[queue] or open_topic(queue)
  local body = head.before .. '{"job":' .. cjson.encode(id) .. ',"status":"' .. status .. '"' .. more .. '}' .. k.body_ends
  local done, event, _, made = pcall(append, head.keys.log, head.channel, body, head.epoch, head.last, k.limits)
  if done then -- without permission for the channel nobody is told, but what happened stays so
    head.last, head.touched, head.moved = event, not made and head.touched, true
  end
end

local function told()
  for _, head in pairs(heads) do
    if head.moved then
      close_head(head.keys, head.topic, head.epoch, head.last, head.touched, k.limits)
    end
  end
end
