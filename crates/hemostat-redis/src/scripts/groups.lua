-- How far the groups of some streams have come.
--
-- ARGV: most unread entries to count, then the streams. Answers with a row for each group: stream, group,
-- pending, oldest pending id or '', oldest unread id or '', unread, -1 where there are more than counted.
-- The server's own `lag` is not asked: it is nil or wrong after trims and deletes.

local most, rows = tonumber(take(1)), {}
for _ = 2, #ARGV do
    local stream = take(1)
    local key = prefix .. stream
    local groups = redis.call('EXISTS', key) == 1 and redis.call('XINFO', 'GROUPS', key) or {}
    for _, info in ipairs(groups) do
        local group = {}
        for i = 1, #info, 2 do
            group[info[i]] = info[i + 1]
        end
        local pending = redis.call('XPENDING', key, group.name)
        local after = '(' .. group['last-delivered-id']
        local unread = redis.pcall('XRANGE', key, after, '+', 'COUNT', 1)
        if #unread == 1 then
            unread = redis.call('XRANGE', key, after, '+', 'COUNT', most + 1)
        end
        local count = #unread
        table.insert(rows, {
            stream, group.name, pending[1], pending[2] or '', count > 0 and unread[1][1] or '',
            count > most and -1 or count,
        })
    end
end
return rows
