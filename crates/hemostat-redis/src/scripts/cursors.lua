-- From where the groups of a partition would go on if they were lost.
--
-- Answers with the number of the last event, then of each registered group in each of its streams: `group stream`, and its
-- durable cursor or ''.

local answer = { redis.call('GET', KEYS[1]) or '0' }
for _, field in ipairs(redis.call('HKEYS', prefix .. 'groups')) do
    table.insert(answer, field)
    table.insert(answer, string.match(redis.call('HGET', prefix .. 'cursor', field) or '', '^%S+') or '')
end
return answer
